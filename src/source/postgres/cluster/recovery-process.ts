/**
 * The process of a recovering server: one that may outlive us, for an operator, or a throwaway's in its isolation.
 */
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../lib/errors.ts';
import { startTool } from '../../../lib/exec.ts';
import { startIsolated } from '../../../lib/isolation.ts';
import { rememberProcess } from '../../../lib/leftovers.ts';
import { processStart } from '../../../lib/process-identity.ts';
import { give } from '../../../lib/owners.ts';
import type { Quarters } from './quarters.ts';

export interface RecoveryProcess {
  /** Of the server, or of the sandbox that it runs in. */
  readonly pid: number;
  readonly isRunning: () => boolean;
  /** What the server has said; of a throwaway the last of it. */
  readonly log: () => string;
  /** Clean; rejects if it takes longer than ten minutes. */
  shutDown(signal?: AbortSignal): Promise<void>;
  /** Ends it at once. */
  kill(): Promise<void>;
  /** It may outlive this process. */
  release(): void;
}

/** So much is kept of what a throwaway says; the lines that are looked for come at the end of its recovery. */
const keptLogLength = 1024 * 1024;

/** In the isolation of its quarters. `args`: of postgres. */
export async function startThrowaway(
  file: string,
  args: readonly string[],
  quarters: Quarters,
): Promise<RecoveryProcess> {
  let log = '';
  const onStderrLine = (line: string): void => void (log = `${log}${line}\n`.slice(-keptLogLength));
  const spec = { file, args, stdout: 'ignore' as const, onStderrLine };
  const { tool, end } = await startIsolated(quarters.isolation, spec, { ...quarters.reach, gently: 'SIGQUIT' });
  let isRunning = true;
  const ended = (): void => void (isRunning = false);
  tool.result.then(ended, ended);
  return { pid: tool.pid, isRunning: () => isRunning, log: () => log, shutDown: end, kill: end, release: () => {} };
}

/** As the owner of its quarters, with a log file in them. `args`: of postgres. */
export async function startLasting(
  file: string,
  args: readonly string[],
  quarters: Quarters,
): Promise<RecoveryProcess> {
  const { owner } = quarters.isolation;
  const logFile = join(quarters.folder, 'server.log');
  await using log = await open(logFile, 'wx', 0o600);
  give(log.fd, owner);
  // Not our child: it may be left running. The shell tells its process id and ends.
  const command = '"$@" </dev/null >/dev/null & echo $!';
  const shell = await startTool({
    file: '/bin/sh',
    args: ['-c', command, 'sh', file, ...args],
    stderr: log.fd,
    cwd: quarters.run,
    detached: true,
    ...owner,
  });
  return new LastingServer(Number((await shell.result).stdout), logFile);
}

class LastingServer implements RecoveryProcess {
  readonly pid: number;
  readonly #logFile: string;
  readonly #start: string | undefined;
  readonly #remembered: Disposable;

  constructor(pid: number, logFile: string) {
    this.pid = pid;
    this.#logFile = logFile;
    this.#start = processStart(pid);
    this.#remembered = rememberProcess(pid, 'SIGQUIT');
  }

  readonly isRunning = (): boolean => this.#start !== undefined && processStart(this.pid) === this.#start;

  readonly log = (): string => readFileSync(this.#logFile, 'utf8');

  async shutDown(signal?: AbortSignal): Promise<void> {
    await this.#end('SIGINT', 600_000, signal);
  }

  async kill(): Promise<void> {
    await this.#end('SIGQUIT', 10_000).catch(async () => this.#end('SIGKILL', 10_000));
  }

  release(): void {
    this.#remembered[Symbol.dispose]();
  }

  async #end(how: NodeJS.Signals, limitMs: number, signal?: AbortSignal): Promise<void> {
    if (this.isRunning()) process.kill(this.pid, how);
    for (const giveUpAt = performance.now() + limitMs; this.isRunning(); await sleep(20)) {
      signal?.throwIfAborted();
      if (performance.now() > giveUpAt) {
        throw new LifeboatError(
          'source',
          `the recovered server (process ${this.pid}) did not end within ${limitMs / 1000} s`,
        );
      }
    }
    this.#remembered[Symbol.dispose]();
  }
}
