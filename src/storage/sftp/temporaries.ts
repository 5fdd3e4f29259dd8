/** What killed runs left beside the objects of an SFTP server: half-written temporaries. */
import { randomBytes } from 'node:crypto';
import { isKind } from './attributes.ts';
import { ignoreAbsent } from './errors.ts';
import type { Walked } from './list.ts';
import type { Session } from './session.ts';

/** A name that no object has. */
export function temporaryName(): string {
  return `.tmp-${randomBytes(8).toString('hex')}`;
}

const isTemporary = /^\.tmp-[0-9a-f]{16}$/;

/** Removes `.tmp-*` that are older than that by the server's clock; returns their keys. */
export async function removeTemporaries(walked: Walked, olderThanMs: number): Promise<string[]> {
  const removed: string[] = [];
  let nowMs: number | undefined;
  for await (const { key, modifiedMs } of temporariesBelow(walked, '')) {
    const session = await walked.session();
    nowMs ??= await clockOf(session, walked.pathOf(temporaryName()));
    if (nowMs - modifiedMs < olderThanMs) continue;
    await session.remove(walked.pathOf(key)).catch(ignoreAbsent);
    removed.push(key);
  }
  return removed;
}

async function* temporariesBelow(walked: Walked, above: string): AsyncGenerator<{ key: string; modifiedMs: number }> {
  const folders: string[] = [];
  const found: { key: string; modifiedMs: number }[] = [];
  try {
    for await (const { name, attributes } of (await walked.session()).readFolder(walked.pathOf(above.slice(0, -1)))) {
      const text = name.toString();
      const key = `${above}${text}`;
      const isFolder = isKind(attributes, 'folder') && !text.startsWith('.') && !text.includes('/');
      if (isFolder) folders.push(`${key}/`);
      else if (isTemporary.test(text)) found.push({ key, modifiedMs: attributes.modifiedMs ?? 0 });
    }
  } catch (error) {
    ignoreAbsent(error);
  }
  yield* found;
  for (const folder of folders) yield* temporariesBelow(walked, folder);
}

/** By the stamp of a new file, which only we know. */
async function clockOf(session: Session, path: string): Promise<number> {
  await session.close(await session.create(path));
  const { modifiedMs = Date.now() } = await session.lstat(path);
  await session.remove(path);
  return modifiedMs;
}
