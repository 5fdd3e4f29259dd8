/**
 * A base backup of a cluster with several tablespaces: pg_basebackup writes them to a standard output only one at
 * a time, so all of it is put into a scratch folder first, a tar for each, and handed on and removed one by one.
 */
import { createReadStream } from 'node:fs';
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import { spaceError } from '../../../lib/file-errors.ts';
import { withScratchFolder } from '../../../lib/fs.ts';
import { removeFile } from '../../../lib/held-files.ts';
import { formatBytes } from '../../../lib/units.ts';
import type { Artifact, ToolProcess } from '../../source.ts';
import { baseArtifact, manifestArtifact, tablespaceArtifact } from './artifacts.ts';
import type { TablespacePlace } from './cluster-facts.ts';

export interface SpoolOptions {
  readonly tablespaces: readonly TablespacePlace[];
  /** Bytes of the cluster, all tablespaces. */
  readonly expectedBytes: number;
  /** Exists; the scratch folder is made in it. */
  readonly scratchDir: string;
  /** So long without a byte more in the folder is "hung". */
  readonly hangTimeoutMs: number;
  readonly run: (folder: string, signal: AbortSignal, onSent: () => void) => Promise<ToolProcess>;
  /** The tars of the tablespaces have these sizes, by oid. */
  readonly onSizes: (bytes: ReadonlyMap<string, number>) => void;
}

/** The tars are about as large as the files in them. */
const roomBeyond = 1.05;

/**
 * Yields base.tar, a tar for each tablespace, and backup_manifest. Throws `space` (15) before anything is read,
 * `source` (13).
 */
export async function* spoolTablespaces(
  options: SpoolOptions,
  context: RunContext,
): AsyncGenerator<Artifact, void, void> {
  await requireRoom(options);
  const folders = Promise.withResolvers<string>();
  const used = Promise.withResolvers<void>();
  const scratch = withScratchFolder(async (folder) => {
    folders.resolve(folder);
    await used.promise;
  }, options.scratchDir);
  scratch.catch((error: unknown) => folders.reject(error));
  try {
    const folder = await folders.promise;
    const { length } = options.tablespaces;
    const message = `the cluster has ${length} more tablespaces: its base backup goes by way of ${folder}`;
    context.emit({ type: 'step', component: 'base', message });
    await fill(folder, options, context);
    yield* handOver(folder, options, context);
  } finally {
    used.resolve();
    await scratch;
  }
}

async function requireRoom({ scratchDir, expectedBytes, tablespaces }: SpoolOptions): Promise<void> {
  const { bavail, bsize } = await statfs(scratchDir);
  const needBytes = Math.ceil(expectedBytes * roomBeyond);
  if (bavail * bsize >= needBytes) return;
  throw new LifeboatError(
    'space',
    `not enough space in ${scratchDir} for a base backup with the tablespaces ` +
      `${tablespaces.map(({ name }) => name).join(', ')}: ${formatBytes(needBytes)} needed, ` +
      `${formatBytes(bavail * bsize)} free`,
    {
      state: 'no backup was made',
      hint: 'a cluster with several tablespaces is put there first: make room, or name another folder by TMPDIR',
    },
  );
}

async function fill(folder: string, options: SpoolOptions, context: RunContext): Promise<void> {
  const hung = new AbortController();
  let sent = false;
  const running = await options.run(folder, AbortSignal.any([context.signal, hung.signal]), () => (sent = true));
  let [lastBytes, since] = [-1, performance.now()];
  const watch = setInterval(() => {
    bytesIn(folder).then(
      (bytes) => {
        // What is in the scratch folder is not read into the backup yet, but a run in which it grows is not hung.
        const counts = { readBytes: bytes, newBytes: 0, storedBytes: 0, totalBytes: options.expectedBytes };
        context.emit({ type: 'progress', component: 'base', ...counts });
        if (bytes !== lastBytes || sent) [lastBytes, since] = [bytes, performance.now()];
        else if (performance.now() - since > options.hangTimeoutMs) {
          hung.abort(writesNothing(options.hangTimeoutMs));
        }
      },
      () => {},
    );
  }, 1000);
  try {
    await running.done;
  } catch (error) {
    const said = error instanceof LifeboatError ? error.message : '';
    const isFull = /No space left on device/.test(said);
    const cause = isFull ? Object.assign(new Error(said), { code: 'ENOSPC' }) : error;
    const hint = 'make room there, or name another folder by TMPDIR';
    throw spaceError(cause, `cannot write to the scratch folder ${folder}`, hint);
  } finally {
    clearInterval(watch);
  }
}

function writesNothing(limitMs: number): LifeboatError {
  const message = `hung: pg_basebackup has written nothing for ${Math.round(limitMs / 1000)} s`;
  return new LifeboatError('source', message, {
    state: 'no backup was recorded',
    retryable: true,
    hint: 'look at the server and its network; hangTimeoutSeconds sets the limit',
  });
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder)) bytes += (await stat(join(folder, name))).size;
  return bytes;
}

async function* handOver(
  folder: string,
  { tablespaces, onSizes }: SpoolOptions,
  { signal }: RunContext,
): AsyncGenerator<Artifact, void, void> {
  const found = (await readdir(folder)).flatMap((name) => /^(\d+)\.tar$/.exec(name)?.[1] ?? []);
  const expected = tablespaces.map(({ oid }) => oid);
  if (found.toSorted().join(' ') !== expected.toSorted().join(' ')) {
    throw new LifeboatError('source', 'the tablespaces of the cluster have changed while its base backup was taken', {
      state: 'no backup was recorded',
      hint: 'take it again',
      retryable: true,
    });
  }
  const sizes = new Map<string, number>();
  for (const oid of expected) sizes.set(oid, (await stat(join(folder, `${oid}.tar`))).size);
  onSizes(sizes);
  const files = [
    { name: baseArtifact, file: 'base.tar', mediaType: 'application/x-tar' },
    ...expected.map((oid) => ({ name: tablespaceArtifact(oid), file: `${oid}.tar`, mediaType: 'application/x-tar' })),
    { name: manifestArtifact, file: await manifestIn(folder), mediaType: 'application/json' },
  ];
  const reading: Promise<void>[] = [];
  for (const { name, file, mediaType } of files) {
    const ended = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => ended.resolve(), { once: true });
    reading.push(ended.promise);
    yield {
      name,
      mediaType,
      chunkSize: 'small',
      body: { from: 'stream', stream: onceThrough(join(folder, file), signal, ended.resolve) },
    };
  }
  // The folder must not go before the last of them has been read.
  await Promise.all(reading);
}

/** Where pages are damaged pg_basebackup leaves its manifest, whole, under the name that it has until then. */
async function manifestIn(folder: string): Promise<string> {
  const names = await readdir(folder);
  return names.includes('backup_manifest') ? 'backup_manifest' : 'backup_manifest.tmp';
}

const pieceBytes = 1024 * 1024;

/** Removed once it has been read: what is stored needs no second place. */
async function* onceThrough(path: string, signal: AbortSignal, ended: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: pieceBytes, signal }) as AsyncIterable<Buffer>;
    await removeFile(path);
  } finally {
    ended();
  }
}
