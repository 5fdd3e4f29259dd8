/**
 * A lock between processes of one host: a file that says whose it is. Nothing unlocks it but its holder, or the proof
 * that its holder is gone. It keeps work from being done twice; two at once would do harm to nobody.
 */
import { randomBytes } from 'node:crypto';
import { link, rename, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { systemCodeOf } from './errors.ts';
import { createFile, readTextAt, removeIn } from './held-files.ts';
import { HeldFolder } from './held-folder.ts';
import { parseJson } from './json.ts';
import { pause } from './pause.ts';
import { isGone, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/** What a holder who cannot be seen from here is given. */
const longestHoldMs = 600_000;
/** A file without words in it: its maker was killed, or is about to write. */
const unwrittenMs = 10_000;
const lookAgainMs = 50;
const maxBytes = 4096;

/**
 * Runs `work` under the lock at `path`, whose folder must be there. Resolves to undefined where somebody else has held
 * it for `waitMs`. Rejects with what `work` rejects with, and with what the file system refuses.
 */
export async function withFileLock<T>(
  path: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<{ readonly value: T } | undefined> {
  const text = JSON.stringify({ ...ownIdentity(), nonce: randomBytes(8).toString('hex') });
  const until = performance.now() + waitMs;
  while (!(await take(path, text))) {
    if (await breakDead(path)) continue;
    if (performance.now() >= until) return undefined;
    await pause(lookAgainMs, undefined);
  }
  try {
    return { value: await work() };
  } finally {
    await giveBack(path, text);
  }
}

async function take(path: string, text: string): Promise<boolean> {
  using folder = HeldFolder.open(dirname(path));
  try {
    await using file = await createFile(folder, basename(path));
    await file.writeFile(text);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function giveBack(path: string, text: string): Promise<void> {
  if ((await read(path)) !== text) return;
  using folder = HeldFolder.open(dirname(path));
  await removeIn(folder, basename(path));
}

/** True: there may be none now. Who moves it away looks whether it was the dead one, and puts another back. */
async function breakDead(path: string): Promise<boolean> {
  const found = await read(path);
  if (found === undefined) return true;
  if (!(await isDead(path, found))) return false;
  using folder = HeldFolder.open(dirname(path));
  const moved = `${basename(path)}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(folder.child(basename(path)), folder.child(moved));
    if ((await read(`${dirname(path)}/${moved}`)) !== found) {
      await link(folder.child(moved), folder.child(basename(path)));
    }
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT' && systemCodeOf(error) !== 'EEXIST') throw error;
  }
  await removeIn(folder, moved);
  return true;
}

async function isDead(path: string, text: string): Promise<boolean> {
  const holder = holderIn(text);
  const own = ownIdentity();
  if (holder !== undefined && isGone(holder, own)) return true;
  // Of this host, from before it was started anew.
  if (holder !== undefined && holder.host === own.host && holder.bootId !== own.bootId) return true;
  const madeMs = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
  return Date.now() - madeMs > (holder === undefined ? unwrittenMs : longestHoldMs);
}

function holderIn(text: string): ProcessIdentity | undefined {
  try {
    const found = parseJson(text) as Partial<ProcessIdentity> | null;
    const isOne = typeof found?.pid === 'number' && typeof found.processStart === 'string';
    return isOne ? (found as ProcessIdentity) : undefined;
  } catch {
    return undefined;
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readTextAt(path, maxBytes);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
