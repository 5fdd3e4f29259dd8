/**
 * One worker of the daemon: a process of its own in a group of its own, so that neither its death nor its leaks reach
 * the daemon, and a Ctrl-C on the terminal reaches the daemon only. One that tells nothing for too long is ended.
 */
import { startTool, type RunningTool } from '../../lib/exec.ts';
import { messageOf } from '../../lib/errors.ts';
import { parseMessage, type WorkerEnd, type WorkerMessage, type WorkerOrder } from './messages.ts';

/** How workers are started. */
export interface WorkerProgram {
  /** Absolute path of bin/lifeboat.js. */
  readonly file: string;
  /** Of the worker, all of it. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface WorkerOptions {
  /** What `ps` shows of it. */
  readonly name: string;
  readonly order: WorkerOrder;
  /** So long without a word it is hung. */
  readonly silenceMs: number;
  readonly onMessage: (message: WorkerMessage) => void;
}

/** How it ended: by its own last word, or without one. */
export type WorkerResult = WorkerEnd | { readonly type: 'death'; readonly isHung: boolean; readonly message: string };

/** One that runs. */
export interface Worker {
  readonly pid: number;
  /** Never rejects. */
  readonly result: Promise<WorkerResult>;
  /** As an operator's Ctrl-C would. */
  interrupt(): void;
  /** With all that it has started in its group. */
  kill(): void;
}

/** How often it is looked whether it has told anything. */
const lookMs = 2000;
/** It says nothing while it loads what it needs, which takes longer on a busy machine. */
const startingMs = 60_000;
/** No message of ours is longer; what is, is dropped. */
const longestLine = 1024 * 1024;

/** Rejects with LifeboatError where no process can be started. */
export async function startWorker({ file, env, cwd }: WorkerProgram, options: WorkerOptions): Promise<Worker> {
  const args = ['daemon', '--worker', options.name];
  const tool = await startTool({
    file,
    name: 'its process',
    args,
    env,
    cwd,
    stdin: 'pipe',
    stdout: 'pipe',
    detached: true,
  });
  const watch = new Watch(tool, options);
  tool.stdin?.write(`${JSON.stringify(options.order)}\n`);
  return {
    pid: tool.pid,
    result: watch.result(),
    interrupt: () => tool.kill('SIGINT'),
    kill: () => tool.killGroup('SIGKILL'),
  };
}

class Watch {
  readonly #tool: RunningTool;
  readonly #options: WorkerOptions;
  #end: WorkerEnd | undefined;
  #silentMs = 0;
  #isHung = false;
  #hasTold = false;
  #rest = '';

  constructor(tool: RunningTool, options: WorkerOptions) {
    this.#tool = tool;
    this.#options = options;
    tool.stdout?.setEncoding('utf8').on('data', (text: string) => this.#hear(text));
    tool.stdout?.on('error', () => {});
  }

  async result(): Promise<WorkerResult> {
    const { silenceMs } = this.#options;
    let lookedAt = performance.now();
    const timer = setInterval(() => {
      const nowAt = performance.now();
      // What was told while we did not run ourselves is not read yet: no look counts for more than two.
      this.#silentMs += Math.min(nowAt - lookedAt, 2 * lookMs);
      lookedAt = nowAt;
      if (this.#silentMs < (this.#hasTold ? silenceMs : Math.max(silenceMs, startingMs))) return;
      this.#isHung = true;
      this.#tool.killGroup('SIGKILL');
    }, lookMs);
    try {
      await this.#tool.result;
      return this.#end ?? this.#death('its process ended without a word');
    } catch (error) {
      return this.#end ?? this.#death(messageOf(error));
    } finally {
      clearInterval(timer);
      this.#tool.stdin?.destroy();
    }
  }

  #death(message: string): WorkerResult {
    const seconds = Math.round(this.#silentMs / 1000);
    const isHung = this.#isHung;
    return { type: 'death', isHung, message: isHung ? `hung: its process told nothing for ${seconds} s` : message };
  }

  #hear(text: string): void {
    this.#silentMs = 0;
    this.#hasTold = true;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > longestLine) this.#rest = '';
    for (const line of lines) {
      const message = parseMessage(line);
      if (message === undefined) continue;
      if (message.type === 'end') this.#end = message;
      else this.#options.onMessage(message);
    }
  }
}
