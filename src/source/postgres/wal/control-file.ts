/** pg_control of a data directory, where there is no server to ask. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCodeOf } from '../../../lib/errors.ts';

/**
 * The system identifier (decimal) by global/pg_control of a data directory; undefined where there is none. Its first
 * eight bytes, in the machine's order.
 */
export async function systemIdOfFolder(dataDir: string): Promise<string | undefined> {
  try {
    await using file = await open(join(dataDir, 'global/pg_control'));
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    const id = bytesRead === 8 ? buffer.readBigUInt64LE(0) : 0n;
    return id === 0n ? undefined : id.toString();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}
