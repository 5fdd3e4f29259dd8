/**
 * What systemd is told of the daemon: sd_notify(3). Node has no datagram sockets of Unix, so each message goes by the
 * program systemd-notify, which is wherever systemd is; the unit must have NotifyAccess=all (or exec), since it is not
 * the main process that sends.
 */
import { messageOf } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { runTool } from '../../lib/exec.ts';
import { printable } from '../../lib/printable.ts';

/** Whom the daemon tells how it is: systemd, or nobody. None of it waits or throws. */
export interface ServiceManager {
  /** The loop is to turn at least so often for it; undefined: it does not mind. */
  readonly watchdogMs: number | undefined;
  /** Started, or done with reading the configuration anew. */
  ready(status: string): void;
  reloading(): void;
  status(text: string): void;
  /** The loop has turned. */
  alive(): void;
  stopping(): void;
  /** Resolves once all is sent. */
  flush(): Promise<void>;
}

/** What the environment of a service says: NOTIFY_SOCKET, and WATCHDOG_USEC where WATCHDOG_PID is ours. */
export interface ServiceEnvironment {
  readonly socket: string | undefined;
  readonly watchdogMs: number | undefined;
}

/** From the environment; values that are none count as not there. */
export function serviceEnvironment(env: Readonly<Record<string, string | undefined>>): ServiceEnvironment {
  const { NOTIFY_SOCKET, WATCHDOG_USEC = '', WATCHDOG_PID = String(process.pid) } = env;
  const isOurs = /^[1-9]\d{0,15}$/.test(WATCHDOG_USEC) && WATCHDOG_PID === String(process.pid);
  return {
    socket: NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '' ? undefined : NOTIFY_SOCKET,
    watchdogMs: isOurs ? Number(WATCHDOG_USEC) / 1000 : undefined,
  };
}

/** Variables that are for the main process only. */
export const serviceVariables = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'];

/** How long sending one message may take. */
const sendingMs = 10_000;

export class Systemd implements ServiceManager {
  readonly watchdogMs: number | undefined;
  readonly #socket: string;
  readonly #emit: EventSink;
  #sending: Promise<void> = Promise.resolve();
  #waiting = 0;
  #status = '';
  #aliveAt = -Infinity;
  #isWarned = false;

  constructor({ socket, watchdogMs }: ServiceEnvironment & { readonly socket: string }, emit: EventSink) {
    this.#socket = socket;
    this.watchdogMs = watchdogMs;
    this.#emit = emit;
  }

  ready(status: string): void {
    this.#status = status;
    this.#send('READY=1', `STATUS=${printable(status)}`);
  }

  reloading(): void {
    this.#send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#send(`STATUS=${printable(text)}`);
  }

  alive(): void {
    const nowAt = performance.now();
    // A loop that turns often need not tell each time.
    if (this.watchdogMs === undefined || nowAt - this.#aliveAt < this.watchdogMs / 4 || this.#waiting > 10) return;
    this.#aliveAt = nowAt;
    this.#send('WATCHDOG=1');
  }

  stopping(): void {
    this.#send('STOPPING=1', 'STATUS=stopping');
  }

  async flush(): Promise<void> {
    await this.#sending;
  }

  /** One after the other: their order means something. */
  #send(...assignments: string[]): void {
    this.#waiting++;
    this.#sending = this.#sending.then(async () => {
      await this.#sendNow(assignments);
      this.#waiting--;
    });
  }

  async #sendNow(args: readonly string[]): Promise<void> {
    const signal = AbortSignal.timeout(sendingMs);
    try {
      await runTool({ file: 'systemd-notify', args, env: { NOTIFY_SOCKET: this.#socket }, signal });
    } catch (error) {
      if (this.#isWarned) return;
      this.#isWarned = true;
      this.#emit({ type: 'warning', message: `systemd cannot be told how the daemon is: ${messageOf(error)}` });
    }
  }
}

/** Where nobody is told. */
export const nobody: ServiceManager = {
  watchdogMs: undefined,
  ready: () => {},
  reloading: () => {},
  status: () => {},
  alive: () => {},
  stopping: () => {},
  flush: async () => {},
};
