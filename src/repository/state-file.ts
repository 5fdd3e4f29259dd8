/**
 * One JSON file of this host's state. What it holds are secrets and memories that nothing can replace, so one that is
 * torn is an error that names it, never the same as none: an intruder's rollback would pass unseen.
 */
import { dirname } from 'node:path';
import type { z } from 'zod';
import { faultIn } from '../config/schema-words.ts';
import { uncompiled } from '../config/uncompiled.ts';
import { LifeboatError, systemCodeOf } from '../lib/errors.ts';
import { fileError, stateFolderHint, tellingFileErrors } from '../lib/file-errors.ts';
import { ensureFolder, writeFileAtomic } from '../lib/fs.ts';
import { readTextAt } from '../lib/held-files.ts';
import { parseJson } from '../lib/json.ts';

/** The largest holds a secret for each data key. */
const maxStateBytes = 4 * 1024 * 1024;

/**
 * What the file holds; undefined if there is none. Throws `usage` where this user may not read, and a DamagedStateError
 * with that hint (the way out) where it is not of that shape.
 */
export async function readStateFile<T>(
  path: string,
  shape: z.ZodType<T>,
  { hint }: { readonly hint?: string },
): Promise<T | undefined> {
  let text: string;
  try {
    text = await readTextAt(path, maxStateBytes);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw fileError(error, 'cannot read the state folder', {
      hint: 'run it as the user that it belongs to, or set BACKUP_STATE_DIR to a folder of this user',
    });
  }
  const parsed = shape.safeParse(jsonIn(text, path, hint), uncompiled);
  if (parsed.success) return parsed.data;
  throw new DamagedStateError(path, faultIn(parsed.error), hint);
}

/** A file of this host's state that is torn, empty, or not what lifeboat writes. */
export class DamagedStateError extends LifeboatError {
  constructor(path: string, reason: string, hint: string | undefined) {
    const message = `${path}, which this host keeps for itself, is damaged: ${reason}`;
    super('usage', message, hint === undefined ? {} : { hint });
  }
}

/** For what can be made anew without loss: as if there were no such file. */
export function undefinedWhereDamaged(error: unknown): undefined {
  if (!(error instanceof DamagedStateError)) throw error;
}

function jsonIn(text: string, path: string, hint: string | undefined): unknown {
  if (text.trim() === '') throw new DamagedStateError(path, 'it is empty', hint);
  try {
    return parseJson(text);
  } catch {
    throw new DamagedStateError(path, 'it is not JSON', hint);
  }
}

/** A file of this host's state (0600), its folder made if need be. Throws `usage` where this user may not write. */
export async function writeStateFile(path: string, value: unknown): Promise<void> {
  await tellingFileErrors('cannot write to the state folder', { hint: stateFolderHint }, async () => {
    await ensureFolder(dirname(path));
    await writeFileAtomic(path, `${JSON.stringify(value, undefined, 2)}\n`, 0o600);
  });
}
