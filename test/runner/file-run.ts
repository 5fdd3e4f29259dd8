/**
 * One test file in a process of its own, with a temporary folder of its own, watched from outside:
 * node:test by itself waits for ever for a process with a timer left open, reports success for a file
 * without tests, and does not see the servers that a test leaves behind.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { environmentFor } from '../helpers/versions/server-versions.ts';
import { endMounts, endProcesses, filesLeft } from './leftovers.ts';
import type { Plan } from './plan.ts';
import type { RecordedEvent } from './reporter.ts';

export interface Failure {
  readonly name: string;
  readonly error: string;
}

export interface FileResult {
  readonly file: string;
  readonly durationMs: number;
  readonly passed: number;
  readonly failures: readonly Failure[];
  /** Not failures, but to be told. */
  readonly remarks: readonly string[];
  /** The end of what it wrote to stdout and stderr. */
  readonly output: string;
}

const reporter = join(import.meta.dirname, 'reporter.ts');
const outputTailLength = 32 * 1024;
/** More than a test may take in silence: a test past its own time-out is reported by its process. */
const silenceBeyondTimeoutMs = 15_000;

/** Runs it to its end; whatever happens, neither process, mount nor file of it is left. */
export async function runFile(
  root: string,
  file: string,
  folder: string,
  plan: Plan,
  signal: AbortSignal,
): Promise<FileResult> {
  const began = Date.now();
  const events = `${folder}.events`;
  mkdirSync(folder);
  // As /tmp is, whatever the umask: servers run as another user, and some tests do.
  chmodSync(folder, 0o1777);
  const child = startTestProcess(root, file, folder, events, plan);
  const output = collectTail(child);
  const end = await endOf(child, () => sizeOf(events), plan.testTimeoutMs + silenceBeyondTimeoutMs, signal);
  const recorded = readEvents(events);
  const left = [...(await endProcesses(folder)), ...endMounts(folder)];
  const files = filesLeft(folder);
  rmSync(folder, { recursive: true, force: true });
  rmSync(events, { force: true });
  if (plan.strictAboutFiles) left.push(...files);
  const failures = [...failuresIn(recorded), ...failuresOfFile(recorded, end, plan)];
  if (left.length > 0) failures.push({ name: 'leaves nothing behind', error: left.join('\n') });
  return {
    file,
    durationMs: Date.now() - began,
    passed: recorded.filter((event) => event.kind === 'passed' && !event.isSuite && !event.omitted).length,
    failures,
    remarks: plan.strictAboutFiles ? [] : files,
    output: output(),
  };
}

function startTestProcess(root: string, file: string, folder: string, events: string, plan: Plan): ChildProcess {
  const flags = [
    `--test-timeout=${plan.testTimeoutMs}`,
    `--test-reporter=${reporter}`,
    '--test-reporter-destination=stdout',
  ];
  if (plan.namePattern !== undefined) flags.push(`--test-name-pattern=${plan.namePattern}`);
  const chosen = plan.server === undefined ? {} : environmentFor(plan.server);
  return spawn(process.execPath, [...flags, file], {
    cwd: root,
    env: { ...process.env, ...chosen, TMPDIR: folder, LIFEBOAT_TEST_EVENTS: events },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** How the process ended; `hung` if it had to be killed. */
interface End {
  readonly hung: boolean;
  readonly how: string;
  readonly ok: boolean;
}

/** Waits for the exit; kills the process when it has recorded nothing for too long, or on abort. */
async function endOf(
  child: ChildProcess,
  progress: () => number,
  silenceMs: number,
  signal: AbortSignal,
): Promise<End> {
  let hung = false;
  let last = { progress: progress(), atMs: Date.now() };
  const watch = setInterval(() => {
    const now = progress();
    if (now !== last.progress) last = { progress: now, atMs: Date.now() };
    else if (Date.now() - last.atMs > silenceMs) {
      hung = true;
      child.kill('SIGKILL');
    }
  }, 500);
  const onAbort = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    // Not 'close': a server that was left behind may hold our pipes open.
    return await new Promise<End>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, name) =>
        resolve({ hung, how: code === null ? `was killed by ${name}` : `exited with code ${code}`, ok: code === 0 }),
      );
    });
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', onAbort);
  }
}

function failuresIn(events: readonly RecordedEvent[]): Failure[] {
  return events.flatMap((event): Failure[] => {
    if (event.kind === 'failed') return [{ name: event.name, error: event.error }];
    if (event.kind === 'passed' && event.omitted) {
      return [{ name: event.name, error: 'skipped or marked as todo: a test runs, or is not there' }];
    }
    return [];
  });
}

/** What is wrong with the file as a whole. */
function failuresOfFile(events: readonly RecordedEvent[], end: End, plan: Plan): Failure[] {
  const finished = events.some((event) => event.kind === 'finished');
  if (end.hung) return [{ name: 'ends by itself', error: `nothing happened for too long; ${whereItWas(events)}` }];
  if (!finished) return [{ name: 'runs to its end', error: `the process ${end.how}; ${whereItWas(events)}` }];
  if (!end.ok && !events.some((event) => event.kind === 'failed')) {
    return [{ name: 'ends well', error: `the process ${end.how}` }];
  }
  const ran = events.some((event) => event.kind === 'failed' || event.kind === 'passed');
  if (!ran && plan.namePattern === undefined) {
    return [{ name: 'holds a test', error: 'no test was found in this file' }];
  }
  return [];
}

function whereItWas(events: readonly RecordedEvent[]): string {
  const running: string[] = [];
  for (const event of events) {
    if (event.kind === 'began') running.push(event.name);
    else if (event.kind === 'ended' && running.includes(event.name)) running.splice(running.lastIndexOf(event.name), 1);
  }
  if (running.length > 0) return `it was in: ${running.join(' > ')}`;
  return events.length === 0 ? 'no test had begun' : 'its tests had ended: a timer, socket or child is left open';
}

function readEvents(path: string): RecordedEvent[] {
  if (sizeOf(path) === 0) return [];
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as RecordedEvent);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function collectTail(child: ChildProcess): () => string {
  let tail = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-outputTailLength);
    });
  }
  return () => {
    // A process left behind must not keep the runner waiting.
    child.stdout?.destroy();
    child.stderr?.destroy();
    return tail;
  };
}
