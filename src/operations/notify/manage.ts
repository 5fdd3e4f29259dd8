/** `lifeboat notify list` and `flush`: what waits, how the channels are doing, and sending it now. */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { given } from '../complete.ts';
import type { Operation } from '../operation.ts';
import { channelFacts } from './channel-facts.ts';
import { chosenChannels } from './choose-channels.ts';
import { flushOutbox } from './flush.ts';
import { readIncidents } from './incidents.ts';
import { noticesFolder } from './place.ts';
import type { NotifyFlushOptions, NotifyFlushRequest, NotifyFlushResult, NotifyListResult } from './request.ts';

/** However much waits. */
const flushMs = 300_000;

export const notifyFlushOperation: Operation<NotifyFlushOptions, NotifyFlushRequest, NotifyFlushResult> = {
  need: () => ({}),
  complete: (options) => given(options),
  run: flush,
  exitCode: ({ channels }) => (channels.some(({ problem }) => problem !== undefined) ? exitCodeOf.storage : 0),
};

export const notifyListOperation: Operation<object, object, NotifyListResult> = {
  need: () => ({}),
  complete: () => ({}),
  run: list,
};

async function flush(
  { config }: LoadedConfig,
  { channel }: NotifyFlushRequest,
  { emit }: RunContext,
): Promise<NotifyFlushResult> {
  chosenChannels(config, channel);
  // What has failed stands in the answer.
  const quiet: RunContext['emit'] = (event) => emit(event.type === 'warning' ? { ...event, type: 'debug' } : event);
  return { channels: await flushOutbox(config, { limitMs: flushMs, emit: quiet, isForced: true, channel }) };
}

async function list({ config }: LoadedConfig): Promise<NotifyListResult> {
  const incidents = await readIncidents(noticesFolder(config));
  return {
    channels: await channelFacts(config),
    incidents: incidents.map(({ key, since, count, severity, title, target, acknowledgedAt }) => ({
      key,
      since,
      count,
      severity,
      title,
      target,
      acknowledgedAt,
    })),
  };
}
