/**
 * A program that the operator has configured, run to its end. It leads a process group of its own: what it has started
 * ends with it, be it done or out of time, and the next run ends it if this one is killed. Only what makes a session of
 * its own (setsid) lives on. Of what it prints the end is kept, and nobody who keeps its output open is waited for.
 */
import { StringDecoder } from 'node:string_decoder';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTool, type ProgramEnd, type RunningTool } from './exec.ts';
import { rememberGroup } from './leftovers.ts';
import { abortAfter } from './long-timer.ts';

export interface OperatorCommand {
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly cwd: string;
  readonly timeoutMs: number;
}

export interface CommandEnd extends ProgramEnd {
  readonly isTimedOut: boolean;
  /** Both streams as they came; the last 64 KiB, from the beginning of a line on. */
  readonly output: string;
}

/**
 * Rejects with LifeboatError `tool` where it cannot be started, and with the signal's reason once that is aborted (the
 * program has ended then).
 */
export async function runOperatorCommand(
  { command, cwd, timeoutMs }: OperatorCommand,
  env: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<CommandEnd> {
  const [file = '', ...args] = command;
  const limit = abortAfter(timeoutMs);
  const signals = signal === undefined ? limit : AbortSignal.any([limit, signal]);
  const tool = await startTool({ file, args, cwd, env, signal: signals, stdout: 'pipe', detached: true });
  const streams = [tool.stdout, tool.stderr].filter((each) => each !== null);
  const output = new Tail(streams);
  using _ = rememberGroup(tool.pid);
  const end = await endOf(tool);
  await Promise.race([Promise.all(streams.map(ended)), sleep(lastWordsMs)]);
  for (const stream of streams) stream.destroy();
  signal?.throwIfAborted();
  return { ...end, isTimedOut: limit.aborted, output: output.text() };
}

/** What lies in the pipes is read at once; longer waits only for somebody who has them open and stays. */
const lastWordsMs = 500;

/** The group is ended in the moment in which its leader has: later, its number may be another's. */
async function endOf(tool: RunningTool): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    tool.onExit((end) => {
      tool.killGroup('SIGKILL');
      resolve(end);
    });
  });
}

async function ended(stream: Readable): Promise<void> {
  if (!stream.readableEnded && !stream.destroyed) await once(stream, 'close').catch(() => {});
}

const mostBytes = 64 * 1024;

/** The end of what several streams say. */
class Tail {
  #text = '';
  #isCut = false;

  constructor(streams: readonly Readable[]) {
    for (const stream of streams) {
      const decoder = new StringDecoder('utf8');
      stream.on('data', (chunk: Buffer | string) =>
        this.#add(typeof chunk === 'string' ? chunk : decoder.write(chunk)),
      );
      stream.on('error', () => {});
    }
  }

  text(): string {
    return this.#isCut ? this.#text.slice(this.#text.indexOf('\n') + 1) : this.#text;
  }

  #add(text: string): void {
    const all = this.#text + text;
    this.#isCut ||= all.length > mostBytes;
    this.#text = all.slice(-mostBytes);
  }
}
