/**
 * Reads stored artifacts back: index parts → range reads ahead of need → authenticated, decompressed and checked
 * against their chunk ids (or checksums, see trustChecksums) side by side → yielded in order. It never ends early: what
 * cannot be proven whole is thrown.
 */
import { countGarbage, discard } from '../../lib/collect.ts';
import { mapInOrder, Places } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { ArtifactInfo, ArtifactReader } from '../../source/source.ts';
import { NotFoundError, TooShortError, type Storage } from '../../storage/storage.ts';
import { boxKind } from '../box/layout.ts';
import { chunkIdKey, chunkIdOf } from '../box/chunk-id.ts';
import { cipherFor, type BoxCipher } from '../box/cipher.ts';
import { openBox } from '../box/box.ts';
import { decode, isCheckedBody } from '../box/codec.ts';
import { sha256, type DataKey } from '../box/crypto.ts';
import { IndexPart, packKey, type ChunkRecord } from './index-part.ts';
import { openTrue } from '../earlier-versions.ts';
import type { ManifestArtifact } from '../manifests/manifest.ts';
import { reasonFor } from '../box/seal.ts';

/** One request reads neighbouring chunks of so many plain bytes at most… */
const runPlainBytes = 2 * 1024 * 1024;
const firstRunPlainBytes = 1024 * 1024;
/**
 * …and so many of them are under way or waiting to be used: of each artifact, and more of whichever are read first.
 * What a restore holds shall hardly depend on how many artifacts it reads side by side.
 */
const runsAhead = 2;
const spareRuns = 2;

export interface ArtifactReaderOptions {
  readonly storage: Storage;
  readonly dataKey: DataKey | undefined;
  /** From a manifest whose seal has been checked. */
  readonly artifacts: readonly ManifestArtifact[];
  /**
   * Default false: chunk ids are compared. True where what comes of the content is compared after the restore
   * (fingerprints, digests, PostgreSQL's manifest): then ids are compared only of chunks that bring no
   * checksum of their content. The tags vouch for what is stored, these for what comes of it; HMACs beside them take
   * a tenth of a restore. Without encryption they are compared in any case.
   */
  readonly trustChecksums?: boolean;
}

/** Neighbouring chunks of one pack, read by one request. */
interface Run {
  readonly chunks: ChunkRecord[];
  plainBytes: number;
  readonly start: number;
  end: number;
}

interface Reading extends ArtifactReaderOptions {
  readonly spare: Places;
}

/** Artifacts of one component, by name. */
export function openArtifacts(options: ArtifactReaderOptions): ArtifactReader {
  const reading: Reading = { ...options, spare: new Places(spareRuns) };
  const byName = new Map(options.artifacts.map((artifact) => [artifact.name, artifact]));
  return {
    artifacts: options.artifacts.map(({ name, mediaType, bytes }): ArtifactInfo => ({ name, mediaType, bytes })),
    open: (name, range) => {
      const artifact = byName.get(name);
      if (artifact === undefined) throw new LifeboatError('not_found', `the backup has no artifact ${name}`);
      return range === undefined ? readWhole(reading, artifact) : readRange(reading, artifact, range);
    },
  };
}

async function* readWhole(options: Reading, artifact: ManifestArtifact): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const plain of plainChunks(options, runsOf(records(options, artifact)))) {
    bytes += plain.length;
    yield plain;
  }
  if (bytes !== artifact.bytes) throw damaged(artifact.name, `it yields ${bytes} bytes, not ${artifact.bytes}`);
}

async function* readRange(
  options: Reading,
  artifact: ManifestArtifact,
  range: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  if (range.start < 0 || range.end > artifact.bytes || range.start > range.end) {
    throw damaged(artifact.name, `it has no bytes ${range.start} to ${range.end}`);
  }
  let at = 0;
  const wanted = async function* (): AsyncGenerator<ChunkRecord> {
    let offset = 0;
    let first = true;
    for await (const record of records(options, artifact)) {
      if (offset >= range.end) return;
      if (offset + record.plainLength > range.start) {
        if (first) at = offset;
        first = false;
        yield record;
      }
      offset += record.plainLength;
    }
  };
  let given = 0;
  for await (const plain of plainChunks(options, runsOf(wanted()))) {
    const part = plain.subarray(Math.max(0, range.start - at), Math.min(plain.length, range.end - at));
    at += plain.length;
    given += part.length;
    yield part;
  }
  if (given !== range.end - range.start) {
    throw damaged(artifact.name, `it yields ${given} bytes where ${range.end - range.start} were asked for`);
  }
}

/** Every chunk of an artifact in stream order, one index part in memory at a time. */
export async function* records(
  { storage, dataKey }: ArtifactReaderOptions,
  artifact: ManifestArtifact,
): AsyncGenerator<ChunkRecord> {
  for (const part of artifact.index) {
    const opening = openTrue(storage, part.object, async (stored) => {
      if (stored.length !== part.bytes || sha256(stored).toString('hex') !== part.sha256) {
        throw damaged(artifact.name, `${part.object} is not what the manifest names`);
      }
      return new IndexPart(await openBox(stored, boxKind.index, part.object, dataKey));
    });
    const index = await opening.catch((error: unknown) => {
      throw error instanceof NotFoundError ? located(error, part.object) : error;
    });
    if (index.chunks !== part.chunks) {
      throw damaged(artifact.name, `${part.object} lists ${index.chunks} chunks, not ${part.chunks}`);
    }
    for (let n = 0; n < index.chunks; n++) yield index.record(n);
  }
}

/** Joins chunks that lie side by side in a pack; the first runs are short, for readers that want only a beginning. */
async function* runsOf(chunks: AsyncIterable<ChunkRecord>): AsyncGenerator<Run> {
  let run: Run | undefined;
  let limit = firstRunPlainBytes;
  for await (const chunk of chunks) {
    const end = chunk.offset + chunk.storedLength;
    if (
      run !== undefined &&
      run.chunks[0]?.packId.equals(chunk.packId) === true &&
      run.end === chunk.offset &&
      run.plainBytes + chunk.plainLength <= limit
    ) {
      run.chunks.push(chunk);
      run.end = end;
      run.plainBytes += chunk.plainLength;
      continue;
    }
    if (run !== undefined) {
      yield run;
      limit = Math.min(2 * limit, runPlainBytes);
    }
    run = { chunks: [chunk], start: chunk.offset, end, plainBytes: chunk.plainLength };
  }
  if (run !== undefined) yield run;
}

async function* plainChunks(options: Reading, runs: AsyncIterable<Run>): AsyncGenerator<Uint8Array> {
  const { dataKey, trustChecksums = false } = options;
  // Without encryption anybody can make a tag and a checksum; only the ids follow from what the manifest says.
  const check: ChunkCheck = { idKey: chunkIdKey(dataKey), trustChecksums: trustChecksums && dataKey !== undefined };
  const open = async (run: Run): Promise<Uint8Array[]> => {
    const [first] = run.chunks as [ChunkRecord];
    const key = packKey(first.packId);
    try {
      const openAll = async (stored: Buffer): Promise<Uint8Array[]> => {
        const cipher = cipherFor(first.packHeader, boxKind.pack, dataKey);
        const chunks = await Promise.all(
          run.chunks.map((chunk) =>
            openChunk(
              cipher,
              chunk,
              stored.subarray(chunk.offset - run.start, chunk.offset - run.start + chunk.storedLength),
              check,
            ),
          ),
        );
        // Without a key, a chunk that was stored as it is lies in it.
        if (dataKey === undefined) countGarbage(stored.length);
        else discard(stored);
        return chunks;
      };
      return await openTrue(options.storage, key, openAll, { start: run.start, end: run.end });
    } catch (error) {
      throw located(error, key);
    }
  };
  for await (const chunks of mapInOrder(runs, open, runsAhead, options.spare)) {
    for (const chunk of chunks) {
      yield chunk;
      // Nothing, if its reader has discarded it.
      countGarbage(chunk.length);
    }
  }
}

interface ChunkCheck {
  readonly idKey: Buffer | undefined;
  readonly trustChecksums: boolean;
}

async function openChunk(
  cipher: BoxCipher,
  chunk: ChunkRecord,
  stored: Uint8Array,
  { idKey, trustChecksums }: ChunkCheck,
): Promise<Uint8Array> {
  const opened = cipher.open(chunk.frame, stored);
  const isChecked = trustChecksums && isCheckedBody(opened, chunk.codec);
  const plain = await decode(opened, chunk.codec, chunk.plainLength);
  if (plain !== opened) discard(opened);
  if (!isChecked && !chunkIdOf(idKey, plain).equals(chunk.id)) {
    throw new LifeboatError('integrity', 'a chunk is not the one the index names');
  }
  return plain;
}

/** Names the object; a missing or shortened one is damage of the backup, not a storage's failure. */
function located(error: unknown, key: string): unknown {
  if (!(error instanceof LifeboatError)) return error;
  if (error instanceof NotFoundError) {
    return new LifeboatError('integrity', `the repository has lost ${key}`, {
      hint: 'run: lifeboat validate --all --quick',
      cause: error,
      facts: { object: key },
    });
  }
  if (error.code === 'integrity' || error instanceof TooShortError) {
    return new LifeboatError('integrity', `${key} is damaged: ${reasonFor(key, error)}`, {
      hint: 'run: lifeboat validate --all',
      cause: error,
      facts: { object: key },
    });
  }
  return error;
}

function damaged(name: string, why: string): LifeboatError {
  return new LifeboatError('integrity', `artifact ${name} cannot be read: ${why}`, {
    hint: 'run: lifeboat validate --all',
  });
}
