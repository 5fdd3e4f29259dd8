/**
 * What may come into the archive of write-ahead log: files that are what their names say, of a size an object may have.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { parseWalFileName, segmentNumber, type WalFileName } from '../../source/postgres/wal/file-name.ts';
import { readSegmentHeader, type SegmentHeader } from '../../source/postgres/wal/segment-header.ts';
import type { WalName } from './names.ts';

/**
 * What a file hands over beside its name: segments and `.partial` ones are checked, histories and backup labels must be
 * text. `body`: at least the beginning of a segment that has so many `bytes`. Throws as checkSegment.
 */
export function checkWalFile(name: WalName, body: Buffer, bytes = body.length): SegmentHeader | undefined {
  if (name.kind === 'segment' || name.kind === 'partial') return checkSegment(name, body, bytes);
  if (body.length === 0 || body.includes(0)) {
    throw new LifeboatError('integrity', `${name.name} is not text`, { state: 'it was not archived' });
  }
  return undefined;
}

/**
 * Reads the header and checks that `body` begins the segment that `file` says. Throws LifeboatError `integrity` naming
 * what does not fit.
 */
export function checkSegment(
  file: Pick<WalFileName, 'name' | 'timeline' | 'segment'>,
  body: Buffer,
  bytes = body.length,
): SegmentHeader {
  const refuse = (reason: string): LifeboatError =>
    new LifeboatError('integrity', `${file.name} is not the segment its name says: ${reason}`, {
      state: 'it was not archived',
    });
  const header = readSegmentHeader(body);
  if ('fault' in header) throw refuse(header.fault);
  const { segmentBytes, timeline, position } = header;
  if (bytes !== segmentBytes) throw refuse(`it has ${bytes} bytes, not ${segmentBytes}`);
  if (timeline > file.timeline) throw refuse(`it begins on timeline ${timeline}`);
  const named = segmentNumber(file.segment ?? '', segmentBytes) * BigInt(segmentBytes);
  if (position !== named) {
    throw refuse(`its first page is that of position ${position.toString(16)}, not ${named.toString(16)}`);
  }
  return header;
}

/** True for a name that archive_command may be called with. */
export function isArchivable(name: string): boolean {
  return parseWalFileName(name) !== undefined;
}
