/**
 * Reads the tars of a base backup as they stream by. pg_basebackup writes plain ustar headers: no long names, no
 * extended ones, sizes from 8 GiB on in base 256 (print_tar_number of PostgreSQL's port/tar.c).
 */
import { LifeboatError } from '../../../lib/errors.ts';

export interface TarEntry {
  /** As it stands there, each byte one character (latin1), without `./` before and `/` behind. */
  readonly path: string;
  readonly type: 'file' | 'folder';
  /** Permission bits. */
  readonly mode: number;
  readonly bytes: number;
}

/** Takes the content of one file. `write` resolves when there is room for more; pieces may be kept. */
export interface TarSink {
  write(piece: Uint8Array): Promise<void> | undefined;
  end(): Promise<void>;
}

const blockBytes = 512;

/**
 * Calls `open` for each entry, in order; for a folder it returns nothing. Throws LifeboatError `integrity` for what is
 * no whole tar.
 */
export async function readTar(
  tar: AsyncIterable<Uint8Array>,
  open: (entry: TarEntry) => Promise<TarSink | undefined>,
): Promise<void> {
  const header = Buffer.alloc(blockBytes);
  let headerFilled = 0;
  let contentLeft = 0;
  let paddingLeft = 0;
  let sink: TarSink | undefined;
  let ended = false;
  for await (const piece of tar) {
    for (let at = 0; at < piece.length && !ended;) {
      if (contentLeft > 0) {
        const part = piece.subarray(at, at + contentLeft);
        at += part.length;
        contentLeft -= part.length;
        await sink?.write(part);
        if (contentLeft === 0) await sink?.end();
      } else if (paddingLeft > 0) {
        const skipped = Math.min(paddingLeft, piece.length - at);
        at += skipped;
        paddingLeft -= skipped;
      } else {
        const part = piece.subarray(at, at + blockBytes - headerFilled);
        header.set(part, headerFilled);
        at += part.length;
        headerFilled = (headerFilled + part.length) % blockBytes;
        if (headerFilled > 0) continue;
        ended = header.every((byte) => byte === 0);
        if (ended) break;
        const entry = parseHeader(header);
        sink = await open(entry);
        contentLeft = entry.bytes;
        paddingLeft = (blockBytes - (entry.bytes % blockBytes)) % blockBytes;
        if (contentLeft === 0) await sink?.end();
      }
    }
  }
  if (!ended) throw damaged('it ends early');
}

function parseHeader(header: Buffer): TarEntry {
  let sum = 0;
  for (let at = 0; at < blockBytes; at++) sum += at >= 148 && at < 156 ? 32 : (header[at] ?? 0);
  if (header.toString('latin1', 257, 262) !== 'ustar' || sum !== numberAt(header, 148, 8)) {
    throw damaged('it has a header that is not valid');
  }
  const [name, prefix] = [textAt(header, 0, 100), textAt(header, 345, 155)];
  const path = (prefix === '' ? name : `${prefix}/${name}`).replace(/^(\.\/)+/, '').replace(/\/+$/, '');
  if (path.startsWith('/') || path.split('/').includes('..')) {
    throw new LifeboatError('integrity', `the base backup holds a path out of its folder: ${path}`);
  }
  const type = header.toString('latin1', 156, 157);
  const mode = numberAt(header, 100, 8) & 0o777;
  if (type === '5') return { path: path === '.' ? '' : path, type: 'folder', mode, bytes: 0 };
  if (type === '0' || type === '\0') return { path, type: 'file', mode, bytes: numberAt(header, 124, 12) };
  throw new LifeboatError(
    'integrity',
    `the base backup holds ${path}, which is neither file nor folder but of type ${JSON.stringify(type)}`,
  );
}

function textAt(header: Buffer, at: number, length: number): string {
  const end = header.indexOf(0, at);
  return header.toString('latin1', at, end < 0 ? at + length : Math.min(end, at + length));
}

function numberAt(header: Buffer, at: number, length: number): number {
  const isBase256 = ((header[at] ?? 0) & 0x80) !== 0;
  const value = isBase256
    ? Number(header.readBigUInt64BE(at + length - 8))
    : Number.parseInt(textAt(header, at, length).trim() || '0', 8);
  if (!Number.isSafeInteger(value) || value < 0) throw damaged('a header in it holds no number');
  return value;
}

function damaged(why: string): LifeboatError {
  return new LifeboatError('integrity', `the base backup is not a complete tar: ${why}`);
}
