/**
 * Keeps a recovery off tablespaces that others live in. Log in which a tablespace is created makes the server that
 * replays it use the path written there, whatever its own tablespaces are mapped to: on the machine of the original
 * it would write into the original's files.
 */
import { readdir } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import { carriedBytes, createdTablespaces, withoutPageHeaders } from '../../source/postgres/wal/records.ts';

export class TablespaceGuard {
  #before: Buffer = Buffer.alloc(0);

  /**
   * To be called for each piece of each segment, in order, before that is delivered. Throws LifeboatError `usage` for a
   * path that is in use.
   */
  async check(name: string, piece: Buffer, isFirst = true): Promise<void> {
    const payload = Buffer.concat([this.#before, withoutPageHeaders(piece, isFirst)]);
    // A record may go on in the next piece, or the next segment.
    this.#before = Buffer.from(payload.subarray(-carriedBytes));
    for (const path of createdTablespaces(payload)) {
      const names = await readdir(path).catch(() => []);
      if (!names.some((each) => /^PG_\d/.test(each))) continue;
      throw new LifeboatError(
        'usage',
        `a tablespace is created in ${path} by the log that is to be ` +
          `replayed (${name}), and that folder is in use here`,
        {
          hint:
            'the recovering server would write into it: recover on another machine, or to a moment before, or from ' +
            'a base backup that was taken after it',
        },
      );
    }
  }
}
