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
  { channel }: NotifyTestRequest,
  { signal }: RunContext,
): Promise<NotifyTestResult> {
  const chosen = chosenChannels(config, channel);
  return { channels: await Promise.all(chosen.map(async (each) => testChannel(each, signal))) };
}

async function testChannel(channel: Channel, signal: AbortSignal): Promise<NotifyTestResult['channels'][number]> {
  const { name, type, timeoutMs } = channel;
  try {
    const limit = AbortSignal.timeout(timeoutMs);
    for (const notice of testNotices()) await send(channel, notice, AbortSignal.any([signal, limit]));
    return { name, type, arrived: true };
  } catch (error) {
    return { name, type, arrived: false, problem: oneLine(withoutSecrets(messageOf(error)), 300) };
  }
}

/** One of each outcome, as they come. */
function testNotices(): Notice[] {
  const isTest = true;
  const text = 'this is a test of lifeboat; nothing is wrong';
  return [
    noticeOf({
      event: 'test.failed',
      outcome: 'failure',
      severity: 'critical',
      title: 'TEST: this is what a failure looks like',
      text,
      next: 'nothing',
      isTest,
    }),
    noticeOf({
      event: 'test.recovered',
      outcome: 'recovery',
      severity: 'critical',
      title: 'TEST: this is what its end looks like',
      text,
      isTest,
    }),
  ];
}
