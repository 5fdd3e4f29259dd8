/**
 * What a run would leave behind if it were killed with SIGKILL: temporary folders and files, children
 * that outlive us, scratch servers. Each is written down before it exists, in one small journal per
 * process under `<state>/run/`, and struck off when it is gone; the next run ends what the journals of
 * dead processes name.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { giveNewFolders } from './owners.ts';

type Entry =
  | { readonly path: string }
  | { readonly pid: number; readonly start: string; readonly signal?: NodeJS.Signals };

/** Where this host keeps its run journals; set once at start. */
let folder: string | undefined;

/**
 * Names the state folder (0700, made if needed) and ends what dead runs left there. Returns what was ended, for the
 * log.
 */
export function openLeftovers(stateDir: string): string[] {
  folder = join(stateDir, 'run');
  giveNewFolders(mkdirSync(folder, { recursive: true, mode: 0o700 }), folder);
  return sweep(folder);
}

/** Writes down a path that must not outlive this run; call `dispose` after removing it. */
export function rememberPath(path: string): Disposable {
  return remember({ path });
}

/**
 * Writes down a child (or a server of ours) that must not outlive this run. `signal`: asked so first, for a program
 * that has something to put away; then killed.
 */
export function rememberProcess(pid: number, signal?: NodeJS.Signals): Disposable {
  const start = processStart(pid);
  return start === undefined
    ? { [Symbol.dispose]: () => {} }
    : remember({ pid, start, ...(signal === undefined ? {} : { signal }) });
}

/**
 * The start time of a process in clock ticks since boot; undefined if there is no such process (a zombie counts as
 * none).
 */
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

/** A journal with more lines than this is written anew: a long run remembers thousands of short-lived files. */
const maxLines = 1000;

/** Our own journal in one state folder (a program may use several). */
class Journal {
  readonly #file: string;
  readonly #held = new Set<string>();
  #lines = 0;

  constructor(file: string) {
    this.#file = file;
  }

  // Neither throws: work must not fail because it could not be written down or struck off, or because the state folder
  // is gone, full or read-only.
  add(text: string): void {
    this.#held.add(text);
    this.#write(`{"add":${text}}`);
  }

  drop(text: string): void {
    this.#held.delete(text);
    if (this.#held.size > 0) return this.#write(`{"drop":${text}}`);
    this.#lines = 0;
    try {
      rmSync(this.#file, { force: true });
    } catch {
      return;
    }
  }

  #write(line: string): void {
    try {
      if (++this.#lines <= maxLines) return appendFileSync(this.#file, `${line}\n`, { mode: 0o600 });
      const fresh = `${this.#file}.new`;
      writeFileSync(fresh, [...this.#held].map((text) => `{"add":${text}}\n`).join(''), { mode: 0o600 });
      renameSync(fresh, this.#file);
      this.#lines = this.#held.size;
    } catch {
      return;
    }
  }
}

const journals = new Map<string, Journal>();

function remember(entry: Entry): Disposable {
  if (folder === undefined) return { [Symbol.dispose]: () => {} };
  const file = join(folder, journalName());
  const journal = journalOf(file);
  const text = JSON.stringify(entry);
  journal.add(text);
  return { [Symbol.dispose]: () => journal.drop(text) };
}

function journalOf(file: string): Journal {
  let journal = journals.get(file);
  if (journal === undefined) journals.set(file, (journal = new Journal(file)));
  return journal;
}

/** What a journal still holds. A torn last line (killed while writing) is passed over: its thing did not exist yet. */
function open(file: string): Entry[] {
  const left = new Map<string, Entry>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    try {
      const { add, drop } = JSON.parse(line) as { add?: Entry; drop?: Entry };
      if (add !== undefined) left.set(JSON.stringify(add), add);
      if (drop !== undefined) left.delete(JSON.stringify(drop));
    } catch {
      continue;
    }
  }
  return [...left.values()];
}

function sweep(run: string): string[] {
  const ended: string[] = [];
  for (const name of readdirSync(run)) {
    const [pid, start] = name.replace('.ndjson', '').split('-');
    if (!name.endsWith('.ndjson') || processStart(Number(pid)) === start || !isOurs(join(run, name))) continue;
    const entries = open(join(run, name));
    // Processes first: one of them may still be writing into a folder that is to go.
    for (const entry of entries) if ('pid' in entry && endProcess(entry)) ended.push(`process ${entry.pid}`);
    const stuck = entries.filter((entry) => 'path' in entry && existsSync(entry.path) && !removed(entry.path, ended));
    // What cannot be removed now stays written down for the next run.
    if (stuck.length === 0) rmSync(join(run, name), { force: true });
  }
  return ended;
}

/** What another user's says is not for us to remove: root would do it, and a user could not even read root's. */
function isOurs(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.uid === process.getuid?.();
}

function removed(path: string, ended: string[]): boolean {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    ended.push(path);
    return true;
  } catch {
    return false;
  }
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
  for (let waited = 0; waited < timeoutMs && processStart(pid) === start; waited += 10) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
  return signal === 'SIGKILL' || processStart(pid) !== start;
}
