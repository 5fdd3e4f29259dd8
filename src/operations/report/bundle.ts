/**
 * A bundle of evidence: the sealed records of a time as they lie in the repository, in a ZIP file, with what verifies
 * them without this program. Records are read one by one while the file is written.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { LifeboatError } from '../../lib/errors.ts';
import { writeFileAtomic } from '../../lib/fs.ts';
import { expandUtc } from '../../lib/time.ts';
import { manifestKey, trashKey } from '../../repository/object-keys.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Storage } from '../../storage/storage.ts';
import { bundleReadme } from './bundle-readme.ts';

export interface BundleRequest {
  /** Absolute; one that is there is replaced. */
  readonly file: string;
  /** Milliseconds since 1970; `toMs` is not in it. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Files beside the records: the report itself. */
  readonly extras: readonly { readonly name: string; readonly bytes: Buffer }[];
}

export interface WrittenBundle {
  readonly file: string;
  readonly records: number;
}

/** Larger ones are no records of ours: manifests, the largest, have at most so much. */
const mostRecordBytes = 4 * 1024 * 1024;
/** Whoever writes to a bucket may have put any number there. */
const mostRecords = 1_000_000;

/** Throws what the storage throws, and LifeboatError `usage` where the file cannot be written. */
export async function writeBundle(
  { storage }: Pick<Repository, 'storage'>,
  { file, fromMs, toMs, extras }: BundleRequest,
  signal: AbortSignal,
): Promise<WrittenBundle> {
  const { keys, leftOut } = await keysWithin(storage, fromMs, toMs);
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
  const written: Entry[] = [
    { name: 'README.txt', read: async () => Buffer.from(bundleReadme(day(fromMs), day(toMs), leftOut)) },
    { name: 'verify.mjs', read: async () => readFile(new URL('verify.mjs', import.meta.url)) },
    ...extras.map(({ name, bytes }) => ({ name, read: async () => bytes })),
    ...keys.map((key) => ({ name: `records/${key}`, read: async () => storage.get(key) })),
  ];
  await writeFileAtomic(file, await zipped(written, signal));
  return { file, records: keys.length };
}

interface Entry {
  readonly name: string;
  readonly read: () => Promise<Buffer>;
}

/** Entries are read when it is their turn; the last one has the checksums of all others. */
async function zipped(entries: readonly Entry[], signal: AbortSignal): Promise<Readable> {
  const { ZipFile } = await import('yazl');
  const zip = new ZipFile();
  const output = zip.outputStream as Readable;
  // Whoever reads it is told, also where that begins later.
  output.on('error', () => {});
  zip.on('error', (error: Error) => output.destroy(error));
  const sums: string[] = [];
  const add = ({ name, read }: Entry): void => {
    const bytes = async function* (): AsyncGenerator<Buffer> {
      signal.throwIfAborted();
      const content = await read();
      sums.push(`${createHash('sha256').update(content).digest('hex')}  ${name}\n`);
      yield content;
    };
    zip.addReadStreamLazy(name, { mode: 0o100_600 }, (done) => {
      const stream = Readable.from(bytes());
      stream.on('error', (error) => output.destroy(error));
      done(null, stream);
    });
  };
  entries.forEach(add);
  add({ name: 'SHA256SUMS', read: async () => Buffer.from(sums.join('')) });
  zip.end();
  return output;
}

/** Keys of the records of this time, in byte order of their folders. */
async function keysWithin(
  storage: Storage,
  fromMs: number,
  toMs: number,
): Promise<{ readonly keys: string[]; readonly leftOut: string[] }> {
  const keys: string[] = [];
  const leftOut: string[] = [];
  const proven = new Set<string>();
  const take = async (prefix: string, isWanted: (key: string, modifiedMs: number) => boolean): Promise<void> => {
    for await (const { key, sizeBytes, modifiedMs } of storage.list(prefix)) {
      if (!key.endsWith('.json') || !isWanted(key, modifiedMs)) continue;
      (sizeBytes > mostRecordBytes ? leftOut : keys).push(key);
      if (keys.length > mostRecords) throw tooMany();
    }
  };
  const isWithin = (key: string): boolean => {
    const ms = timeIn(key);
    return ms >= fromMs && ms < toMs;
  };
  // By the storage's stamp: their names tell no time, and a chain is of use only without gaps.
  await take('audit/', (_, modifiedMs) => modifiedMs >= fromMs);
  await take('evidence/', (key) => {
    const isTaken = isWithin(key);
    if (isTaken) proven.add(key.split('/')[1] ?? '');
    return isTaken;
  });
  await take('notes/', isWithin);
  await take('schedules/', isWithin);
  const kept = new Set([...proven].flatMap((id) => [manifestKey(id), trashKey(id)]));
  await take('manifests/', (key) => kept.has(key) || isWithin(key));
  await take('trash/', (key) => kept.has(key) || isWithin(key));
  return { keys, leftOut };
}

/** The time in the last part of a key; NaN where there is none. */
function timeIn(key: string): number {
  const time = /(?:^|-)(\d{8}T\d{6}Z)/.exec(key.slice(key.lastIndexOf('/') + 1))?.[1];
  return time === undefined ? Number.NaN : Date.parse(expandUtc(time));
}

function tooMany(): LifeboatError {
  return new LifeboatError('usage', `more than ${mostRecords} records are of that time`, {
    hint: 'choose a shorter time; lifeboat audit and lifeboat list tell of records that are not ours',
  });
}
