/**
 * How programs are kept from what we can read that work on what others made: throwaway servers, above all, which run
 * functions of a restored database's owner. Best by namespaces (sandbox.ts), as root under a uid that nobody else has;
 * else, as root, under a system user that the operator keeps for it. Never unasked as ourselves, nobody or postgres:
 * those may read a key, or belong to somebody.
 */
import { readdirSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError, messageOf } from './errors.ts';
import { runTool, startTool, type RunningTool, type ToolResult, type ToolSpec } from './exec.ts';
import { freeUser, linesOf, namedUser, processesOf, systemUsers, type SystemUser } from './free-user.ts';
import { rememberProcess } from './leftovers.ts';
import { processStart } from './process-identity.ts';
import type { Owner } from './owners.ts';
import { passwdText, sandboxed, type SandboxReach } from './sandbox.ts';

export type IsolationKind = 'namespaces' | 'user' | 'none';

/** What the operator allows. */
export interface IsolationChoice {
  /** `none`: programs run as we do, or as root under an ordinary user. */
  readonly isolation: 'auto' | 'none';
  /** A system user that nothing else uses; for root, where there are no namespaces. */
  readonly user: string | undefined;
}

/** One way, chosen; for one throwaway server or program. */
export interface Isolation {
  readonly kind: IsolationKind;
  /** Whom what the program writes belongs to; undefined: us. */
  readonly owner: Owner | undefined;
}

/** The best way there is here. Throws `tool` (16) where there is none, naming the ways out. */
export async function chooseIsolation({ isolation, user }: IsolationChoice): Promise<Isolation> {
  if (isolation === 'none') return { kind: 'none', owner: ordinaryUser() };
  const why = await whyNoNamespaces();
  if (why === undefined) return { kind: 'namespaces', owner: isRoot() ? freeUser() : undefined };
  if (user === undefined || !isRoot()) throw refused(why, user);
  return { kind: 'user', owner: namedUser(user) };
}

/** The same, but for work that must go on where there is none: then without. */
export async function isolationOrNone(choice: IsolationChoice): Promise<Isolation> {
  return chooseIsolation(choice).catch((error: unknown) => {
    if (!(error instanceof LifeboatError)) throw error;
    return { kind: 'none', owner: ordinaryUser() };
  });
}

/** What a program can reach. `home`: a private folder of ours, which the program does not see as such. */
export interface Reach extends Pick<SandboxReach, 'writable' | 'readable' | 'isOnNetwork'> {
  readonly home: string;
}

/** Runs a program to its end, in its isolation. */
export async function runIsolated(isolation: Isolation, spec: ToolSpec, reach: Reach): Promise<ToolResult> {
  return runTool(await placed(isolation, spec, reach));
}

/** A program that goes on, and all that it has started. */
export interface IsolatedProgram {
  readonly tool: RunningTool;
  /** Ends it, and resolves when nothing of it runs any more. */
  readonly end: () => Promise<void>;
}

/**
 * Starts a program in its isolation; the next run ends it if we are killed. `gently`: the signal that it is asked by
 * first where it would leave something (shared memory) outside of a sandbox; it ends at once all the same.
 */
export async function startIsolated(
  isolation: Isolation,
  spec: ToolSpec,
  { gently = 'SIGKILL', ...reach }: Reach & { readonly gently?: NodeJS.Signals },
): Promise<IsolatedProgram> {
  const tool = await startTool({ ...(await placed(isolation, spec, reach)), detached: true });
  const isSandbox = isolation.kind === 'namespaces';
  const remembered = rememberProcess(tool.pid, isSandbox ? undefined : gently);
  const first = isSandbox ? await firstInside(tool) : undefined;
  return {
    tool,
    end: async () => {
      if (first === undefined) await endTool(tool, isSandbox ? 'SIGKILL' : gently);
      else await endSandbox(tool, first);
      if (isolation.kind === 'user' && isolation.owner !== undefined) await endProcessesOf(isolation.owner.uid);
      remembered[Symbol.dispose]();
    },
  };
}

async function placed({ kind, owner }: Isolation, spec: ToolSpec, reach: Reach): Promise<ToolSpec> {
  if (kind !== 'namespaces') return { ...spec, ...owner };
  const passwdFile = join(reach.home, 'passwd');
  await writeFile(passwdFile, passwdText(owner ?? ownUser()));
  await chmod(passwdFile, 0o644);
  return sandboxed(spec, { ...reach, passwdFile }, { owner, canDisableNesting: await canDisableNesting() });
}

async function endTool(tool: RunningTool, gently: NodeJS.Signals): Promise<void> {
  tool.kill(gently);
  const late = setTimeout(() => tool.kill('SIGKILL'), 10_000);
  await tool.result.catch(() => {});
  clearTimeout(late);
}

interface FirstProcess {
  readonly pid: number;
  readonly start: string;
}

/** The first process of a sandbox; undefined: it has ended already. */
async function firstInside(tool: RunningTool): Promise<FirstProcess | undefined> {
  const ended = tool.result.then(
    () => true,
    () => true,
  );
  for (;;) {
    const pid = childOf(tool.pid);
    const start = pid === undefined ? undefined : processStart(pid);
    if (pid !== undefined && start !== undefined) return { pid, start };
    if (await Promise.race([ended, sleep(2, false)])) return undefined;
  }
}

/** It ends only when all others in it have: the kernel sees to it. */
async function endSandbox(tool: RunningTool, { pid, start }: FirstProcess): Promise<void> {
  if (processStart(pid) === start) killQuietly(pid);
  await tool.result.catch(() => {});
  while (processStart(pid) === start) await sleep(5);
}

/** By the kernel's own list, or, where it keeps none, by everyone's parent. */
function childOf(pid: number): number | undefined {
  const children = linesOf(`/proc/${pid}/task/${pid}/children`)[0]?.trim();
  if (children !== undefined) return children === '' ? undefined : Number(children.split(' ')[0]);
  const parents = readdirSync('/proc').filter((each) => /^\d+$/.test(each));
  const child = parents.find((each) => linesOf(`/proc/${each}/status`).includes(`PPid:\t${pid}`));
  return child === undefined ? undefined : Number(child);
}

/** They may have gone into groups and sessions of their own; the user is theirs alone. */
async function endProcessesOf(uid: number): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const left = processesOf(uid);
    if (left.length === 0) return;
    for (const { pid } of left) killQuietly(pid);
    await sleep(20);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return;
  }
}

let probed: Promise<string | undefined> | undefined;
let nesting = false;

/** Why no program can run in namespaces here; undefined: it can. Found out once. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  probed ??= probe();
  return probed;
}

async function canDisableNesting(): Promise<boolean> {
  await whyNoNamespaces();
  return nesting;
}

async function probe(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `${process.platform} has none`;
  const owner = isRoot() ? freeUser() : undefined;
  const attempt = async (canDisable: boolean): Promise<string | undefined> => {
    const reach = { writable: [], readable: [], passwdFile: '/etc/passwd' };
    const spec = { file: '/bin/true', args: [], cwd: '/', signal: AbortSignal.timeout(20_000) };
    try {
      await runTool(sandboxed(spec, reach, { owner, canDisableNesting: canDisable }));
      nesting = canDisable;
      return undefined;
    } catch (error) {
      return messageOf(error).replace(/^true /, 'bwrap ');
    }
  };
  const why = await attempt(true);
  // Before version 0.8 it does not know the option.
  return why === undefined ? undefined : (await attempt(false)) === undefined ? undefined : why;
}

function refused(why: string, user: string | undefined): LifeboatError {
  const root = isRoot();
  const asUser = root
    ? 'name a system user that nothing else uses by drill.user (BACKUP_DRILL_USER)'
    : 'run it as root with such a user in drill.user (BACKUP_DRILL_USER)';
  return new LifeboatError(
    'tool',
    "a throwaway server, which runs code of the database's owner, cannot be isolated here: no namespaces " +
      `(${why}), and ` +
      (user === undefined ? 'no user for it is named' : 'only root can run it under another user'),
    {
      state: 'nothing was found out about the backup',
      hint:
        `install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap) where namespaces are allowed, or ${asUser}; ` +
        'drill.isolation "none" (BACKUP_DRILL_ISOLATION=none) runs it where the code can read what lifeboat can',
    },
  );
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function ownUser(): Owner {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
}

/** Without isolation root's programs still run as a user that owns little; PostgreSQL refuses root. */
function ordinaryUser(): Owner | undefined {
  if (!isRoot()) return undefined;
  const users = systemUsers();
  const found = ['nobody', 'postgres']
    .map((wanted) => users.find(({ name }) => name === wanted))
    .find((user): user is SystemUser => user !== undefined && user.uid > 0);
  return found === undefined ? undefined : { uid: found.uid, gid: found.gid };
}
