/** A private folder that lives as long as its scope, and is removed by the next run if this one is killed. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { makeScratchFolder, type PrivateFolder } from '../../lib/fs.ts';

/** Makes `<parent>/lifeboat-redis-…` (0700). Throws as withScratchFolder does. */
export async function openScratch(parent: string): Promise<PrivateFolder> {
  return makeScratchFolder(join(parent, `lifeboat-redis-${randomBytes(6).toString('hex')}`));
}
