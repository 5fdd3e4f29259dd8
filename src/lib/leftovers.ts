/**
 * What a run would leave behind if it were killed with SIGKILL: temporary folders and files, children
 * that outlive us, scratch servers. Each is written down before it exists, in one small journal per
 * process under `<state>/run/`, and struck off when it is gone; the next run ends what the journals of
 * dead processes name.
 */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

type Entry = { readonly path: string } | { readonly pid: number; readonly start: string; readonly signal?: NodeJS.Signals };

/** Where this host keeps its run journals; set once at start. */
let folder: string | undefined;

/** Names the state folder (0700, made if needed) and ends what dead runs left there. Returns what was ended, for the log. */
export function openLeftovers(stateDir: string): string[] {
  folder = join(stateDir, 'run');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return sweep(folder);
}

/** Writes down a path that must not outlive this run; call `dispose` after removing it. */
export function rememberPath(path: string): Disposable {
  return remember({ path });
}

/** Writes down a child (or a server of ours) that must not outlive this run. `signal`: asked so first, for a program that has something to put away; then killed. */
export function rememberProcess(pid: number, signal?: NodeJS.Signals): Disposable {
  const start = processStart(pid);
  return start === undefined ? { [Symbol.dispose]: () => {} } : remember({ pid, start, ...(signal === undefined ? {} : { signal }) });
}

/** The start time of a process in clock ticks since boot; undefined if there is no such process (a zombie counts as none). */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function journalName(): string {
  return `${process.pid}-${processStart(process.pid) ?? '0'}.ndjson`;
}

function remember(entry: Entry): Disposable {
  if (folder === undefined) return { [Symbol.dispose]: () => {} };
  const file = join(folder, journalName());
  write(file, { add: entry });
  return {
    [Symbol.dispose]: () => {
      write(file, { drop: entry });
      if (open(file).length === 0) rmSync(file, { force: true });
    },
  };
}

function write(file: string, line: unknown): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
}

/** What a journal still holds. A torn last line (killed while writing) is passed over: its thing did not exist yet. */
function open(file: string): Entry[] {
  const held = new Map<string, Entry>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    try {
      const { add, drop } = JSON.parse(line) as { add?: Entry; drop?: Entry };
      if (add !== undefined) held.set(JSON.stringify(add), add);
      if (drop !== undefined) held.delete(JSON.stringify(drop));
    } catch {
      continue;
    }
  }
  return [...held.values()];
}

function sweep(run: string): string[] {
  const ended: string[] = [];
  for (const name of readdirSync(run)) {
    const [pid, start] = name.replace('.ndjson', '').split('-');
    if (!name.endsWith('.ndjson') || processStart(Number(pid)) === start) continue;
    const entries = open(join(run, name));
    // Processes first: one of them may still be writing into a folder that is to go.
    for (const entry of entries) if ('pid' in entry && endProcess(entry)) ended.push(`process ${entry.pid}`);
    for (const entry of entries) {
      if (!('path' in entry)) continue;
      rmSync(entry.path, { recursive: true, force: true, maxRetries: 5 });
      ended.push(entry.path);
    }
    unlinkSync(join(run, name));
  }
  return ended;
}

function endProcess({ pid, start, signal }: Extract<Entry, { pid: number }>): boolean {
  if (processStart(pid) !== start) return false;
  if (signal !== undefined && ends(pid, start, signal, 3000)) return true;
  return ends(pid, start, 'SIGKILL', 5000);
}

/** False if it may not be ended, or has not within the time. */
function ends(pid: number, start: string, signal: NodeJS.Signals, timeoutMs: number): boolean {
  try {
    process.kill(pid, signal);
  } catch {
    return false;
  }
  for (let waited = 0; waited < timeoutMs && processStart(pid) === start; waited += 10) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  return signal === 'SIGKILL' || processStart(pid) !== start;
}
