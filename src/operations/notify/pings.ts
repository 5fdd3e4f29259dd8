/**
 * The calls of one run to the checks that want to hear of it. That it begins is said at once or not at all; its end
 * waits in the outbox like everything else, so that a check hears of it late rather than never.
 */
import { randomUUID } from 'node:crypto';
import type { ChannelOf, Config } from '../../config/config.ts';
import type { PingSignal } from '../../config/schema-notifications.ts';
import { AbortedError, LifeboatError, messageOf } from '../../lib/errors.ts';
import type { LifeboatEvent } from '../../lib/events.ts';
import { noticeOf, type Notice } from './notice.ts';
import type { EndedRun } from './run-sightings.ts';
import { send } from './send.ts';
import type { Addressed } from './tell.ts';

const startLimitMs = 5000;
const keptLines = 50;

export class Pings {
  readonly #channels: readonly ChannelOf<'ping'>[];
  readonly #command: string;
  readonly #target: string | undefined;
  readonly #run = randomUUID();
  readonly #log: string[] = [];
  #starting: Promise<unknown> = Promise.resolve();

  constructor({ notifications }: Config, command: string, target: string | undefined) {
    this.#command = command;
    this.#target = target;
    this.#channels = [...notifications.channels.values()].filter(
      (channel): channel is ChannelOf<'ping'> =>
        channel.type === 'ping' &&
        channel.commands.includes(command) &&
        (channel.target === undefined || channel.target === target),
    );
  }

  /** Keeps the last lines of the log. */
  hear(event: LifeboatEvent): void {
    if (event.type !== 'step' && event.type !== 'warning') return;
    this.#log.push(`${event.type === 'warning' ? 'warning: ' : ''}${event.message}`);
    if (this.#log.length > keptLines) this.#log.shift();
  }

  /** Keeps nobody waiting; what fails is of no consequence. */
  start(): void {
    const asked = this.#for('start');
    const notice = this.#notice('start', `${this.#command} begins`);
    const signal = AbortSignal.timeout(startLimitMs);
    this.#starting = Promise.allSettled(asked.map(async (channel) => send(channel, notice, signal)));
  }

  /** What is to be sent now that it has ended. */
  async end({ end }: EndedRun): Promise<Addressed[]> {
    await this.#starting;
    const exitCode = end.kind === 'resolved' ? end.exitCode : exitCodeOf(end.error);
    const isGood = exitCode === 0 || exitCode === 3;
    if (end.kind === 'rejected') this.#log.push(`error: ${messageOf(end.error)}`);
    const notice = {
      ...this.#notice(isGood ? 'success' : 'failure', `${this.#command} ${isGood ? 'has succeeded' : 'failed'}`),
      exitCode,
    };
    return this.#for(isGood ? 'success' : 'failure').map(({ name }) => ({ channel: name, notice }));
  }

  #for(signal: PingSignal): ChannelOf<'ping'>[] {
    return this.#channels.filter(({ signals }) => signals.includes(signal));
  }

  #notice(signal: PingSignal, title: string): Notice {
    return noticeOf({
      event: `${this.#command}.ping`,
      outcome: signal === 'failure' ? 'failure' : 'success',
      severity: 'info',
      command: this.#command,
      ...(this.#target === undefined ? {} : { target: this.#target }),
      title,
      text: this.#target === undefined ? 'of all targets' : `of ${this.#target}`,
      ping: { signal, run: this.#run, log: [...this.#log] },
    });
  }
}

function exitCodeOf(error: unknown): number {
  return error instanceof LifeboatError || error instanceof AbortedError ? error.exitCode : 1;
}
