/**
 * What a run would leave behind if it were killed with SIGKILL: temporary folders and files, children
 * that outlive us, scratch servers. Each is written down before it exists, in one small journal per
 * process, and struck off when it is gone; the next run ends what the journals of dead processes name.
 *
 * The journals lie under `<state>/run/`. They are orders to remove and to kill, so that folder must be one that nobody
 * else can write to: ours, entered by descriptor. In a state folder of another user root keeps its journals under
 * `/var/lib/lifeboat/run/`, and other users in a folder of their own beside.
 */
import fs from 'node:fs';
import { LifeboatError } from './errors.ts';
import { endProcess, type NotedProcess } from './end-process.ts';
import { HeldFolder } from './held-folder.ts';
import { appendLine, Journal } from './leftover-journal.ts';
import { bootId, processStart } from './process-identity.ts';
import { removeTreeSync, type Identity } from './remove-tree.ts';

type Entry = { readonly path: string; readonly identity?: Identity } | NotedProcess | { readonly duty: Duty };

/**
 * Something of the outside that this run has changed and must change back. Only what it is about is written down; what
 * is to be done, whoever does it must know by other means.
 */
export interface Duty {
  readonly kind: 'quiesce';
  /** The repository's place, and the target's name: a state folder may serve several configurations. */
  readonly place: string;
  readonly target: string;
}

/** One that a killed run has left, until it is done. */
export interface LeftDuty extends Disposable {
  readonly duty: Duty;
}

/** A path that is written down; disposed of when it is gone, or stays for good. */
export interface RememberedPath extends Disposable {
  /** Once the folder exists: then no other one that lies there by the next run is taken for it. */
  exists(identity: Identity): void;
}

/** Where root keeps its journals if the state folder is another user's. */
const rootsOwn = '/var/lib/lifeboat';

/**
 * Names the state folder (0700, made if needed) and ends what dead runs left there. Returns what was ended, for the
 * log. Throws LifeboatError `usage` (2) where no folder is ours alone, and what the file system refuses.
 */
export function openLeftovers(stateDir: string): string[] {
  current = journalIn(openRun(stateDir));
  return sweep(current.folder);
}

/** Writes down a path that must not outlive this run; call `dispose` after removing it. */
export function rememberPath(path: string): RememberedPath {
  let remembered = remember({ path });
  return {
    exists({ dev, ino }) {
      const known = remember({ path, identity: { dev, ino } });
      remembered[Symbol.dispose]();
      remembered = known;
    },
    [Symbol.dispose]: () => remembered[Symbol.dispose](),
  };
}

/**
 * Writes down a child (or a server of ours) that must not outlive this run. `signal`: asked so first, for a program
 * that has something to put away; then killed.
 */
export function rememberProcess(pid: number, signal?: NodeJS.Signals): Disposable {
  return rememberChild(pid, signal === undefined ? {} : { signal });
}

/** The same for one that leads a group of processes: it is killed with all of them. */
export function rememberGroup(pid: number): Disposable {
  return rememberChild(pid, { group: true });
}

function rememberChild(pid: number, how: { readonly signal?: NodeJS.Signals; readonly group?: true }): Disposable {
  const start = processStart(pid);
  const boot = bootId();
  return start === undefined
    ? { [Symbol.dispose]: () => {} }
    : remember({ pid, start, ...(boot === '' ? {} : { boot }), ...how });
}

/** Writes down what must be changed back; call `dispose` when it is. */
export function rememberDuty(duty: Duty): Disposable {
  return remember({ duty });
}

/** Those of killed runs that `openLeftovers` has found and that are not done yet. They stay written down. */
export function leftDuties(): readonly LeftDuty[] {
  return [...adopted];
}

const adopted = new Set<LeftDuty>();

function adopt(given: Partial<Duty> | null): void {
  const { kind, place, target } = given ?? {};
  if (kind !== 'quiesce' || typeof place !== 'string' || typeof target !== 'string') return;
  const duty = { kind, place, target } as const;
  const remembered = rememberDuty(duty);
  const left: LeftDuty = {
    duty,
    [Symbol.dispose]: () => {
      adopted.delete(left);
      remembered[Symbol.dispose]();
    },
  };
  adopted.add(left);
}

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/** Where this process writes down what it makes; set when an operation begins. */
let current: Journal | undefined;

/** By what the folder is, not its path: it may have been removed and made anew since. */
const journals = new Map<string, Journal>();

function journalIn(folder: HeldFolder): Journal {
  const { dev, ino } = folder.stat();
  const known = journals.get(`${dev}:${ino}`);
  if (known !== undefined) {
    folder[Symbol.dispose]();
    return known;
  }
  const journal = new Journal(folder);
  journals.set(`${dev}:${ino}`, journal);
  return journal;
}

function remember(entry: Entry): Disposable {
  const journal = current;
  if (journal === undefined) return { [Symbol.dispose]: () => {} };
  const text = JSON.stringify(entry);
  journal.add(text);
  return { [Symbol.dispose]: () => journal.drop(text) };
}

/** A folder that only we can write to. */
function openRun(stateDir: string): HeldFolder {
  using state = HeldFolder.open(stateDir, { create: true });
  if (state.owner !== undefined) {
    using own = HeldFolder.open(rootsOwn, { create: true });
    return required(own, 'run');
  }
  const run = state.enter('run', { create: true });
  if (isOurs(run)) return run;
  run[Symbol.dispose]();
  return required(state, `run-${process.geteuid?.() ?? 0}`);
}

function required(above: HeldFolder, name: string): HeldFolder {
  const run = above.enter(name, { create: true });
  if (isOurs(run)) return run;
  run[Symbol.dispose]();
  throw new LifeboatError('usage', `cannot keep a journal in ${run.path}: it is not ours alone`, {
    state: 'nothing was changed',
    hint: `see who made it, and remove it`,
  });
}

function isOurs(folder: HeldFolder): boolean {
  const { uid, mode } = folder.stat();
  return uid === process.geteuid?.() && (mode & 0o022) === 0;
}

/** What a journal still holds. A torn last line (killed while writing) is passed over: its thing did not exist yet. */
function entriesOf(journal: string): Entry[] {
  const left = new Map<string, Entry>();
  for (const line of journal.split('\n')) {
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

function sweep(run: HeldFolder): string[] {
  const ended: string[] = [];
  for (const name of fs.readdirSync(run.child('.'))) {
    const [pid, start] = name.replace('.ndjson', '').split('-');
    if (!name.endsWith('.ndjson') || processStart(Number(pid)) === start) continue;
    const journal = readOwn(run.child(name));
    if (journal === undefined) continue;
    const entries = entriesOf(journal);
    // Processes first: one of them may still be writing into a folder that is to go.
    for (const entry of entries) if ('pid' in entry && endProcess(entry)) ended.push(`process ${entry.pid}`);
    // In our journal first, then out of theirs.
    for (const entry of entries) {
      if (!('duty' in entry)) continue;
      adopt(entry.duty);
      appendLine(run.child(name), `{"drop":${JSON.stringify(entry)}}`);
    }
    const stuck = entries.filter((entry) => 'path' in entry && !isRemoved(entry, ended));
    // What cannot be removed now stays written down for the next run.
    if (stuck.length === 0) fs.rmSync(run.child(name), { force: true });
  }
  return ended;
}

/** What another user's says is not for us to remove. It is looked at once it is open. */
function readOwn(path: string): string | undefined {
  let fd: number;
  try {
    fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const found = fs.fstatSync(fd);
    const isOwn = found.isFile() && found.uid === process.geteuid?.() && found.nlink === 1;
    return isOwn ? fs.readFileSync(fd, 'utf8') : undefined;
  } finally {
    fs.closeSync(fd);
  }
}

function isRemoved({ path, identity }: Extract<Entry, { path: string }>, ended: string[]): boolean {
  try {
    if (removeTreeSync(path, identity)) ended.push(path);
    return true;
  } catch {
    return false;
  }
}
