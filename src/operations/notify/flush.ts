/**
 * Delivers what waits: each channel by itself and in order, so that one that is down keeps no other waiting. What fails
 * stays, and is tried again after growing pauses, by whichever process comes next.
 */
import type { Channel, Config } from '../../config/config.ts';
import { messageOf } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { withFileLock } from '../../lib/file-lock.ts';
import { digestOf } from './digest.ts';
import { escalate } from './escalate.ts';
import type { Notice } from './notice.ts';
import { mostWaiting, Outbox, type ChannelState, type WaitingNotice } from './outbox.ts';
import { noticesFolder } from './place.ts';
import { isQuiet } from './routing.ts';
import { send } from './send.ts';
import { isRefusal } from '../../lib/refused-error.ts';
import { oneLine, withoutSecrets } from './words.ts';

export interface FlushOptions {
  /** For all of it, in milliseconds. */
  readonly limitMs: number;
  readonly emit: EventSink;
  /** Also what is not due yet. */
  readonly isForced?: boolean;
  /** Only this channel. */
  readonly channel?: string | undefined;
}

export interface FlushedChannel {
  readonly name: string;
  readonly sent: number;
  readonly waiting: number;
  /** Why the first of them could not be sent. */
  readonly problem?: string | undefined;
}

/** After the first failure, the second …; the last one goes on. */
const pausesMs = [30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000];
/** What the other side refuses as it is, it will not take the next time. */
const mostRefusals = 5;

/** Never rejects. */
export async function flushOutbox(config: Config, options: FlushOptions): Promise<FlushedChannel[]> {
  const signal = AbortSignal.timeout(options.limitMs);
  await escalate(config).catch((error: unknown) => {
    options.emit({ type: 'warning', message: `nothing can be escalated: ${messageOf(error)}` });
  });
  const chosen = [...config.notifications.channels.values()].filter(
    ({ name }) => options.channel === undefined || options.channel === name,
  );
  return Promise.all(chosen.map(async (channel) => flushChannel(channel, config, options, signal)));
}

async function flushChannel(
  channel: Channel,
  config: Config,
  options: FlushOptions,
  signal: AbortSignal,
): Promise<FlushedChannel> {
  const { name } = channel;
  const outbox = new Outbox(noticesFolder(config), name);
  let sent = 0;
  let problem: string | undefined;
  try {
    if ((await outbox.names()).length === 0) return { name, sent, waiting: 0 };
    await outbox.prepare();
    const done = await withFileLock(outbox.lockFile, options.limitMs, async () => {
      const delivery = new Delivery(channel, outbox, config, options.isForced === true, signal);
      try {
        await delivery.run();
      } finally {
        ({ sent, problem } = delivery);
      }
    });
    if (done === undefined) problem = 'another process is at it';
  } catch (error) {
    problem = messageOf(error);
  }
  if (problem !== undefined) {
    const message = `the notification channel ${name} has failed: ${problem}; what waits for it is tried again`;
    options.emit({ type: 'warning', message });
  }
  const waiting = await outbox.names().catch(() => []);
  return { name, sent, waiting: waiting.length, problem };
}

/** One pass over what waits for one channel, under its lock. */
class Delivery {
  readonly #channel: Channel;
  readonly #outbox: Outbox;
  readonly #config: Config;
  readonly #isForced: boolean;
  readonly #signal: AbortSignal;
  sent = 0;
  problem: string | undefined;

  constructor(channel: Channel, outbox: Outbox, config: Config, isForced: boolean, signal: AbortSignal) {
    this.#channel = channel;
    this.#outbox = outbox;
    this.#config = config;
    this.#isForced = isForced;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    let state = await this.#outbox.readState();
    if (!this.#isForced && (state.nextTryMs ?? 0) > Date.now()) return;
    state = await this.#shorten(state);
    for (let batch = await this.#next(); batch !== undefined; batch = await this.#next()) {
      if (this.#signal.aborted) return;
      const failure = await this.#attempt(batch, state);
      state = await this.#note(state, batch, failure);
      if (failure !== undefined) return;
      this.sent += batch.length;
    }
  }

  /** What goes as one message: the first that may go, or all that a digest has gathered. */
  async #next(): Promise<WaitingNotice[] | undefined> {
    const nowMs = Date.now();
    const { quietHours } = this.#config.notifications;
    const ready = (await this.#outbox.waiting()).filter(
      ({ notice }) => !isQuiet(notice, this.#channel, quietHours, nowMs),
    );
    const [first] = ready;
    if (first === undefined) return undefined;
    const { digestMs } = this.#channel;
    if (digestMs === undefined) return [first];
    const urgent = ready.find(({ notice }) => notice.severity === 'critical' || notice.isTest === true);
    if (urgent !== undefined) return [urgent];
    // By a clock that was set back it would wait for ever.
    const waitedMs = Math.abs(nowMs - first.sinceMs);
    return waitedMs >= digestMs || this.#isForced ? ready : undefined;
  }

  async #attempt(batch: readonly WaitingNotice[], { dropped }: ChannelState): Promise<unknown> {
    const notice = withDropped(digestOf(batch.map((each) => each.notice)), dropped);
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(this.#channel.timeoutMs)]);
    try {
      await send(this.#channel, notice, signal);
      return undefined;
    } catch (error) {
      if (!signal.aborted) return error;
      return new Error('it took longer than it may', { cause: error });
    }
  }

  /** Writes down what came of it. */
  async #note(before: ChannelState, batch: readonly WaitingNotice[], failure: unknown): Promise<ChannelState> {
    const now = new Date();
    if (failure === undefined) {
      for (const { file } of batch) await this.#outbox.remove(file);
      const state: ChannelState = { failures: 0, dropped: 0, deliveredAt: now.toISOString() };
      await this.#outbox.writeState(state);
      return state;
    }
    const failures = before.failures + 1;
    this.problem = oneLine(withoutSecrets(messageOf(failure)), 300);
    const isGivenUp = isRefusal(failure) && failures >= mostRefusals;
    if (isGivenUp) for (const { file } of batch) await this.#outbox.remove(file);
    const pauseMs = pausesMs[Math.min(failures, pausesMs.length) - 1] ?? 0;
    const state: ChannelState = {
      ...before,
      failures,
      failingSince: before.failingSince ?? now.toISOString(),
      lastError: this.problem,
      nextTryMs: now.getTime() + pauseMs,
      dropped: before.dropped + (isGivenUp ? batch.length : 0),
    };
    await this.#outbox.writeState(state);
    return state;
  }

  async #shorten(state: ChannelState): Promise<ChannelState> {
    const names = await this.#outbox.names();
    const tooMany = names.slice(0, Math.max(0, names.length - mostWaiting));
    for (const file of tooMany) await this.#outbox.remove(file);
    return tooMany.length === 0 ? state : { ...state, dropped: state.dropped + tooMany.length };
  }
}

/** Who gets it learns that something is missing. */
function withDropped(notice: Notice, dropped: number): Notice {
  if (dropped === 0) return notice;
  return { ...notice, text: `${notice.text} (${dropped} earlier messages could not be sent: lifeboat status)` };
}
