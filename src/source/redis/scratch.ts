/** A private folder that lives as long as its scope, and is removed by the next run if this one is killed. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import { rememberPath } from '../../lib/leftovers.ts';

export interface ScratchFolder extends AsyncDisposable {
  readonly path: string;
}

/** Makes `<parent>/lifeboat-redis-…` (0700). */
export async function openScratch(parent: string): Promise<ScratchFolder> {
  const path = join(parent, `lifeboat-redis-${randomBytes(6).toString('hex')}`);
  const remembered = rememberPath(path);
  const dispose = async (): Promise<void> => {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
    remembered[Symbol.dispose]();
  };
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    await dispose();
    throw new LifeboatError('space', `cannot make a scratch folder in ${parent}`, {
      hint: 'name a writable folder by TMPDIR',
      cause: error,
    });
  }
  return { path, [Symbol.asyncDispose]: dispose };
}
