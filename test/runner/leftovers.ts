/**
 * What a test file left behind: processes, mounts and temporary files. A test's own folder is its
 * TMPDIR, which every child inherits, so a process belongs to the test if its environment, its command
 * line or its working folder names that folder. (PostgreSQL and Redis overwrite their environment with
 * their process title: hence more than one sign.)
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { spawnSync } from 'node:child_process';

const graceMs = 3000;

/** Waits a moment for processes that are about to end, kills the others, and says what each was. */
export async function endProcesses(folder: string): Promise<string[]> {
  const deadline = Date.now() + graceMs;
  let left = processesOf(folder);
  while (left.length > 0 && Date.now() < deadline) {
    await delay(50);
    left = processesOf(folder);
  }
  // Until none is there: a server that is being killed may still start a child.
  for (let round = 0; round < 20; round += 1) {
    const alive = processesOf(folder);
    if (alive.length === 0) break;
    for (const { pid } of alive) killQuietly(pid);
    await delay(50);
  }
  return left.map(({ pid, command }) => `process ${pid}: ${command}`);
}

/** Unmounts what is still mounted below the folder, and says what it was. */
export function endMounts(folder: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  const left = mounts.filter((point) => point.startsWith(`${folder}/`)).toReversed();
  for (const point of left) spawnSync('umount', ['-l', point]);
  return left.map((point) => `mount ${point}`);
}

/** Names in the folder; compile caches are there on purpose: ours without HOME, npm's and tsc's always. */
export function filesLeft(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !/^(lifeboat-\d+|node-compile-cache)$/.test(name))
    .map((name) => `file ${folder}/${name}`);
}

interface ProcessInfo {
  readonly pid: number;
  readonly command: string;
}

function processesOf(folder: string): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const command = readQuietly(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
    const environment = readQuietly(`/proc/${pid}/environ`).split('\0');
    const named =
      environment.includes(`TMPDIR=${folder}`) || isInside(folder, folderOf(pid)) || command.includes(`${folder}/`);
    if (named && !isZombie(pid)) found.push({ pid, command: command.slice(0, 200) });
  }
  return found;
}

function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function folderOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

function isZombie(pid: number): boolean {
  return /^State:\s+[ZX]/m.test(readQuietly(`/proc/${pid}/status`));
}

/** Empty for a process that has gone, or is not ours to look at. */
function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended in the meantime.
  }
}
