/** `lifeboat notify test`: a marked message by each channel, now, whatever the routes and quiet hours say. */
import type { Channel } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { given } from '../complete.ts';
import type { Operation } from '../operation.ts';
import { chosenChannels } from './choose-channels.ts';
import { noticeOf, type Notice } from './notice.ts';
import type { NotifyTestOptions, NotifyTestRequest, NotifyTestResult } from './request.ts';
import { send } from './send.ts';
import { oneLine, withoutSecrets } from './words.ts';

export const notifyTestOperation: Operation<NotifyTestOptions, NotifyTestRequest, NotifyTestResult> = {
  need: () => ({}),
  complete: (options) => given(options),
  run: testChannels,
  exitCode: ({ channels }) => (channels.every(({ arrived }) => arrived) ? 0 : exitCodeOf.storage),
};

/** Throws `usage` where no channel of that name, or none at all, is configured. */
async function testChannels(
  { config }: LoadedConfig,
  { channel, eachEvent }: NotifyTestRequest,
  { signal }: RunContext,
): Promise<NotifyTestResult> {
  const chosen = chosenChannels(config, channel);
  const notices = testNotices(eachEvent === true);
  return { channels: await Promise.all(chosen.map(async (each) => testChannel(each, notices, signal))) };
}

async function testChannel(
  channel: Channel,
  notices: readonly Notice[],
  signal: AbortSignal,
): Promise<NotifyTestResult['channels'][number]> {
  const { name, type, timeoutMs } = channel;
  try {
    for (const notice of notices) {
      const limit = AbortSignal.timeout(timeoutMs);
      await send(channel, notice, AbortSignal.any([signal, limit]));
    }
    return { name, type, arrived: true };
  } catch (error) {
    return { name, type, arrived: false, problem: oneLine(withoutSecrets(messageOf(error)), 300) };
  }
}

/** One of each outcome, as they come; or one of each kind of event. */
function testNotices(isEachEvent: boolean): Notice[] {
  const kinds = isEachEvent ? everyKind : (['test.failed', 'test.recovered'] as const);
  return kinds.map((event) => {
    const isEnd = /\.(recovered|cleared)$/.test(event);
    const isSuccess = event.endsWith('.succeeded');
    return noticeOf({
      event,
      outcome: isSuccess ? 'success' : isEnd ? 'recovery' : 'failure',
      severity: isSuccess ? 'info' : /^(backup|test)\.|unhealthy/.test(event) ? 'critical' : 'warning',
      title: `TEST: this is what ${event} looks like`,
      text: 'this is a test of lifeboat; nothing is wrong',
      ...(isEnd || isSuccess ? {} : { next: 'nothing' }),
      isTest: true,
    });
  });
}

const commands = ['backup', 'validate', 'integrity', 'drill', 'cleanup', 'restore', 'pitr', 'emergency-restore'];
const ends = ['failed', 'hung', 'warned', 'recovered', 'succeeded'];
/** The first word of the ids of reasons; see lifeboat-status(1). */
const findings = [
  'no-target',
  'no-backup',
  'stale',
  'future',
  'missed',
  'slot',
  'failure-rate',
  'unproven',
  'proof-old',
  'size',
  'duration',
  'damaged',
  'damaged-source',
  'rollback',
  'hidden',
  'untrusted',
  'unchecked',
  'key',
  'wal-stopped',
  'wal-gap',
  'wal-cut',
  'wal-history',
  'wal-no-base',
  'wal-damaged',
  'wal-quiet',
  'storage',
  'budget',
  'certificate',
  'stale-lease',
  'channel',
];

/** Of each kind that there is, as routes name them. */
const everyKind: readonly string[] = [
  ...commands.flatMap((command) => ends.map((end) => `${command}.${end}`)),
  ...findings.flatMap((finding) => [`status.${finding}.raised`, `status.${finding}.cleared`]),
  'status.failed',
  'status.recovered',
];
