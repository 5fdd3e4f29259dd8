/**
 * Whole commands as an operator (or cron) runs them: bin/lifeboat.js as a child process with nothing in
 * its environment but what a test gives, and a look at everything that such a run may leave behind.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackupResult } from '../../../src/operations/backup/request.ts';
import type { ListResult } from '../../../src/operations/list/request.ts';
import type { RestoreResult } from '../../../src/operations/restore/request.ts';
import { endProcesses } from '../../runner/leftovers.ts';

const program = join(dirname(dirname(dirname(import.meta.dirname))), 'bin/lifeboat.js');

/** 32 bytes in hex, for tests that encrypt. */
export const testKey = 'ab'.repeat(32);

export interface CommandResult {
  /** 128 + its number for a signal that ended the process. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

export interface RunningCommand {
  readonly pid: number;
  readonly result: Promise<CommandResult>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the match once standard error has it; rejects if the command ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
}

type Env = Readonly<Record<string, string>>;

/** A folder with everything that a command touches; `env` is all that it gets. */
export interface Bench extends AsyncDisposable {
  readonly folder: string;
  readonly repository: string;
  readonly stateDir: string;
  /** TMPDIR of the commands. */
  readonly tmp: string;
  env: Env;
  start(line: string | readonly string[], options?: RunOptions): Promise<RunningCommand>;
  run(line: string | readonly string[], options?: RunOptions): Promise<CommandResult>;
  /** The run must succeed (0, or what `exitCode` says); its --json document. */
  json<T>(line: string | readonly string[], options?: RunOptions & { readonly exitCode?: number }): Promise<T>;
  backup(line?: string | readonly string[], options?: RunOptions): Promise<Extract<BackupResult, { outcome: 'done' }>>;
  restore(line: string | readonly string[], options?: RunOptions): Promise<Extract<RestoreResult, { outcome: 'done' }>>;
  /** Ids of all manifests in the local repository, oldest first, as `ls` shows them. */
  recorded(): string[];
  /** Ids of all backups by `lifeboat list`, oldest first; none may be damaged. */
  ids(): Promise<string[]>;
  /** Fails unless no child, temporary file, lease or journal of a run is left. */
  nothingLeft(): Promise<void>;
}

export interface RunOptions {
  /** Over the bench's. Undefined: without it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Stands before the program; an absolute path first. */
  readonly wrapper?: readonly string[];
}

/**
 * Makes a bench whose commands have the servers and folders in `env`, a local repository (none is made yet) and the
 * test key.
 */
export function makeBench(env: Env = {}): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'command-'));
  const tmp = join(folder, 'tmp');
  const home = join(folder, 'home');
  for (const each of [tmp, home]) mkdirSync(each);
  const repository = join(folder, 'repository');
  const stateDir = join(folder, 'state');
  // The search for a configuration goes upward: whatever lies in the temporary folder must not be found.
  writeFileSync(join(folder, 'lifeboat.config.json'), '{}');
  const bench: Bench = {
    folder,
    repository,
    stateDir,
    tmp,
    env: {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      HOME: home,
      // Compiled code, which all commands of a test run share; without the runner each bench has its own.
      XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(home, '.cache'),
      TMPDIR: tmp,
      BACKUP_STATE_DIR: stateDir,
      BACKUP_REPOSITORY: `file://${repository}`,
      BACKUP_ENCRYPTION_KEY: testKey,
      ...env,
    },
    start: (line, options = {}) =>
      startCommand(wordsOf(line), { ...options, env: { ...bench.env, ...options.env }, cwd: options.cwd ?? folder }),
    run: async (line, options) => (await bench.start(line, options)).result,
    json: async <T>(
      line: string | readonly string[],
      { exitCode = 0, ...options }: RunOptions & { readonly exitCode?: number } = {},
    ) => {
      const result = await bench.run([...wordsOf(line), '--json'], options);
      assert.equal(result.exitCode, exitCode, `lifeboat ${wordsOf(line).join(' ')}: ${result.stdout}${result.stderr}`);
      return JSON.parse(result.stdout) as T;
    },
    backup: async (line = 'backup', options) => {
      const result = await bench.json<BackupResult>(line, options);
      assert.ok(result.outcome === 'done');
      return result;
    },
    restore: async (line, options) => {
      const result = await bench.json<RestoreResult>(line, options);
      assert.ok(result.outcome === 'done');
      return result;
    },
    recorded: () =>
      namesBelow(join(repository, 'manifests'))
        .filter((name) => !name.startsWith('.'))
        .map((name) => name.replace('.json', ''))
        .sort(),
    ids: async () => {
      const { backups, damaged } = await bench.json<ListResult>('list');
      assert.deepEqual(damaged, []);
      return backups.map(({ id }) => id);
    },
    nothingLeft: () => nothingLeft(bench),
    [Symbol.asyncDispose]: async () => {
      await endProcesses(tmp);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return bench;
}

/** One clear failure: the exit code, one message, a hint where `hint` is given, no stack, and standard output empty. */
export function assertFailed(result: CommandResult, exitCode: number, message: RegExp, hint?: RegExp): void {
  const all = `exit code ${result.exitCode}\n${result.stdout}${result.stderr}`;
  assert.equal(result.exitCode, exitCode, all);
  const messages = result.stderr.split('\n').filter((line) => line.startsWith('lifeboat: '));
  assert.equal(messages.length, 1, all);
  assert.match(messages[0] ?? '', message, all);
  if (hint !== undefined) {
    assert.match(result.stderr.split('\n').find((line) => line.startsWith('hint: ')) ?? '', hint, all);
  }
  assert.doesNotMatch(result.stderr, /^\s+at .*:\d+:\d+\)?$/m, 'a stack');
  assert.equal(result.stdout, '', 'a failure has no result');
}

/**
 * Process ids of `program` that were started (directly or not) with this TMPDIR, which only a bench's commands have.
 */
export function toolsOf(bench: Pick<Bench, 'tmp'>, name: string): number[] {
  return readdirSync('/proc')
    .filter(
      (pid) =>
        /^\d+$/.test(pid) &&
        readQuietly(`/proc/${pid}/comm`).trim() === name &&
        isAlive(pid) &&
        readQuietly(`/proc/${pid}/environ`).split('\0').includes(`TMPDIR=${bench.tmp}`),
    )
    .map(Number);
}

/** Waits until a tool of the bench runs that has read and written at least so many bytes; its process id. */
export async function toolThatMoves(
  bench: Pick<Bench, 'tmp'>,
  name: string,
  bytes = 0,
  timeoutMs = 30_000,
): Promise<number> {
  const giveUpAt = performance.now() + timeoutMs;
  // Looking at every process takes long enough to slow down what is waited for; looking at one does not.
  for (let tries = 0, known: readonly number[] = []; performance.now() < giveUpAt; tries++) {
    if (tries % 10 === 0) known = toolsOf(bench, name);
    const found = known.find((pid) => movedBytes(pid) >= bytes);
    if (found !== undefined) return found;
    await sleep(2);
  }
  throw new Error(`${name} did not move ${bytes} bytes within ${timeoutMs} ms`);
}

async function startCommand(
  words: readonly string[],
  { env, cwd, wrapper = [] }: RunOptions & { readonly env: Readonly<Record<string, string | undefined>> },
): Promise<RunningCommand> {
  const [file = program, ...args] = [...wrapper, program, ...words];
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
  const started = performance.now();
  const child = spawn(file, args, { cwd, env: given, stdio: ['ignore', 'pipe', 'pipe'] });
  const caught = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (caught.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (caught.stderr += text));
  const result = endOf(child, caught, started);
  result.catch(() => {});
  let ended = false;
  void result.then(() => (ended = true));
  return {
    pid: child.pid ?? 0,
    result,
    kill: (signal) => void child.kill(signal),
    said: async (pattern) => {
      for (;;) {
        const match = pattern.exec(caught.stderr);
        if (match !== null) return match;
        if (ended) throw new Error(`it ended without saying ${String(pattern)}: ${caught.stderr}`);
        await sleep(2);
      }
    },
  };
}

function endOf(
  child: ChildProcess,
  caught: { stdout: string; stderr: string },
  started: number,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // Not 'close': a child of it that is left behind may hold our pipes open.
    child.once('exit', (code, signal) => {
      const number = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[String(signal)] ?? 0;
      const durationMs = performance.now() - started;
      const done = (): void => resolve({ exitCode: code ?? 128 + number, ...caught, durationMs });
      const timer = setTimeout(done, 1000);
      child.once('close', () => {
        clearTimeout(timer);
        done();
      });
    });
  });
}

async function nothingLeft(bench: Bench): Promise<void> {
  assert.deepEqual(await endProcesses(bench.tmp), [], 'processes');
  assert.deepEqual(namesBelow(bench.tmp), [], 'temporary files');
  assert.deepEqual(namesBelow(join(bench.stateDir, 'run')), [], 'journals of runs');
  assert.deepEqual(
    namesBelow(join(bench.repository, 'locks')).filter((name) => name.endsWith('.json')),
    [],
    'leases',
  );
  assert.deepEqual(
    namesBelow(bench.repository).filter((name) => /(^|\/)\.(tmp|lock)-/.test(name)),
    [],
    'temporaries in the repository',
  );
}

/** Files below a folder that may not be there. */
export function namesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

function wordsOf(line: string | readonly string[]): readonly string[] {
  return typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line;
}

/** Sends to a socket are not counted, what is read from a pipe or a file is. */
function movedBytes(pid: number): number {
  const io = readQuietly(`/proc/${pid}/io`);
  return Number(/^rchar: (\d+)$/m.exec(io)?.[1] ?? -1) + Number(/^wchar: (\d+)$/m.exec(io)?.[1] ?? 0);
}

function isAlive(pid: string): boolean {
  return !/^State:\s+[ZX]/m.test(readQuietly(`/proc/${pid}/status`));
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
