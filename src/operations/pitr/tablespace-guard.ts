/**
 * Keeps a recovery off tablespaces that others live in. Log in which a tablespace is created makes the server that
 * replays it use the path written there, whatever its own tablespaces are mapped to: on the machine of the original
 * it would write into the original's files.
 */
import { readdir } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import { withoutPageHeaders } from './wal-inventory.ts';

/** A record's header, the header of its data, the tablespace's oid and a path of PostgreSQL's MAXPGPATH. */
const longestRecordBytes = 24 + 5 + 4 + 1024 + 8;

export class TablespaceGuard {
  #before: Buffer = Buffer.alloc(0);

  /**
   * To be called for each segment, in order, before it is delivered. Throws LifeboatError `usage` for a path that is in
   * use.
   */
  async check(name: string, segment: Buffer): Promise<void> {
    const payload = Buffer.concat([this.#before, withoutPageHeaders(segment)]);
    // A record may go on in the next segment; all begin at multiples of eight bytes.
    this.#before = Buffer.from(
      payload.subarray(-Math.min(payload.length, longestRecordBytes - (longestRecordBytes % 8))),
    );
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

/**
 * Paths of the tablespaces that are created in log without page headers (XLOG_TBLSPC_CREATE of PostgreSQL's
 * commands/tablespace.h).
 */
export function createdTablespaces(payload: Buffer): string[] {
  const paths: string[] = [];
  for (let at = 0; at + 32 < payload.length; at += 8) {
    // Kind 0 of resource manager 5, two bytes of padding; behind the checksum short data: its length, an oid, the path.
    if (payload[at + 17] !== 5 || (payload[at + 16] ?? 0) >> 4 !== 0 || payload.readUInt16LE(at + 18) !== 0) continue;
    const totalBytes = payload.readUInt32LE(at);
    const isShort = payload[at + 24] === 255;
    if (!isShort && payload[at + 24] !== 254) continue;
    const dataAt = at + (isShort ? 26 : 29);
    const dataBytes = isShort ? payload[at + 25] : payload.readUInt32LE(at + 25);
    if (
      dataBytes === undefined ||
      totalBytes !== dataAt - at + dataBytes ||
      totalBytes > longestRecordBytes ||
      at + totalBytes > payload.length
    ) {
      continue;
    }
    const path = payload.toString('utf8', dataAt + 4, at + totalBytes - 1);
    if (path.startsWith('/') && payload[at + totalBytes - 1] === 0) paths.push(path);
  }
  return paths;
}
