/**
 * PostgreSQL's own list of the files of a base backup (backup_manifest): one line for each file, with its size and
 * checksum as the server read it. What was restored is held against it, so that no file is missing, too many or
 * different, whatever lay between.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { LifeboatError } from '../../../lib/errors.ts';

/** What was restored. */
export interface RestoredFile {
  readonly bytes: number;
  /** SHA-256, hex. */
  readonly sha256: string;
}

/**
 * Throws LifeboatError `integrity` naming the first differences. `restored`: by path as in the manifest, each byte one
 * character (latin1); it is emptied.
 */
export async function checkManifest(path: string, restored: Map<string, RestoredFile>): Promise<void> {
  const faults: string[] = [];
  let faultCount = 0;
  const fault = (what: string): void => {
    if (faultCount++ < shownFaults) faults.push(what);
  };
  const hash = createHash('sha256');
  let checksum: string | undefined;
  for await (const line of linesOf(createReadStream(path, { encoding: 'latin1' }))) {
    checksum = /^"Manifest-Checksum": "([0-9a-f]{64})"\}$/.exec(line)?.[1];
    if (checksum !== undefined) break;
    hash.update(line, 'latin1').update('\n');
    if (!/^\{ "(Encoded-)?Path": /.test(line)) continue;
    const entry = parseEntry(line);
    const file = restored.get(entry.path);
    restored.delete(entry.path);
    if (file === undefined) fault(`${entry.path} is missing`);
    else if (file.bytes !== entry.bytes) fault(`${entry.path} has ${file.bytes} bytes, not ${entry.bytes}`);
    else if (entry.sha256 !== undefined && file.sha256 !== entry.sha256) {
      fault(`${entry.path} has another content`);
    }
  }
  if (checksum !== hash.digest('hex')) faults.unshift('backup_manifest itself is damaged');
  for (const each of restored.keys()) fault(`${each} is not listed`);
  if (faults.length === 0) return;
  throw new LifeboatError(
    'integrity',
    'the restored files are not those that PostgreSQL listed: ' +
      `${faults.join('; ')}${faultCount > shownFaults ? ` and ${faultCount - shownFaults} more` : ''}`,
    { hint: 'recover from another base backup; lifeboat validate --deep tells whether this one is damaged' },
  );
}

const shownFaults = 5;
/** A path of at most 4096 bytes, each of them up to six characters, and some numbers. */
const maxLineBytes = 64 * 1024;

async function* linesOf(stream: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of stream) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > maxLineBytes) throw damaged('a line of it is too long');
  }
  if (rest !== '') yield rest;
}

interface ManifestEntry {
  readonly path: string;
  readonly bytes: number;
  /** Undefined where the server made another kind of checksum, or none. */
  readonly sha256: string | undefined;
}

function parseEntry(line: string): ManifestEntry {
  try {
    const entry = JSON.parse(line.replace(/,$/, '')) as Record<string, unknown>;
    // The line was read byte by byte, so a path in it is already what the tar says.
    const {
      Path: plain,
      'Encoded-Path': encoded,
      Size: bytes,
      'Checksum-Algorithm': algorithm,
      Checksum: sha256,
    } = entry;
    const path = typeof plain === 'string' ? plain : Buffer.from(String(encoded), 'hex').toString('latin1');
    if (typeof bytes !== 'number') throw new TypeError('no size');
    return { path, bytes, sha256: algorithm === 'SHA256' && typeof sha256 === 'string' ? sha256 : undefined };
  } catch (cause) {
    throw damaged('a line of it cannot be parsed', cause);
  }
}

function damaged(why: string, cause?: unknown): LifeboatError {
  return new LifeboatError('integrity', `backup_manifest is damaged: ${why}`, { cause });
}
