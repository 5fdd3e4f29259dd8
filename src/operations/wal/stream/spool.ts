/**
 * The folder that pg_receivewal writes into: finished segments, the one that grows (`.partial`, as long as a segment
 * from its beginning, zeros where nothing has come yet) and histories of timelines. The newest finished segment
 * stays when it is shipped, since pg_receivewal goes on behind the newest that it finds.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { open, readdir, readFile, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError, systemCodeOf } from '../../../lib/errors.ts';
import { stateFolderHint, tellingFileErrors } from '../../../lib/file-errors.ts';
import { ensureFolder } from '../../../lib/fs.ts';
import { createFileAt, removeFile, rewriteFile } from '../../../lib/held-files.ts';
import { HeldFolder } from '../../../lib/held-folder.ts';
import { ownIdentity, processStart } from '../../../lib/process-identity.ts';
import { maxWholeBytes, type WalBody } from '../../../repository/wal/large.ts';
import { parseWalName } from '../../../repository/wal/names.ts';
import { segmentNumber } from '../../../source/postgres/wal/file-name.ts';
import { readPiece, ReadRoom } from '../read-room.ts';

export interface SpoolListing {
  /** Names of histories, then of finished segments, in order. */
  readonly finished: readonly string[];
  /** File names of segments that are not finished, in order: more than one where a timeline ended. */
  readonly growing: readonly string[];
}

/** What has come of a segment that still grows, as long as it is open. */
export interface GrowingSegment extends AsyncDisposable {
  /** Its beginning. */
  readonly head: Buffer;
  /** Padded with zeros to the size of a segment. */
  readonly body: Buffer | WalBody;
  /** How many bytes have come: the place behind the last one that is not zero. */
  readonly filledBytes: number;
}

export class StreamSpool {
  readonly folder: string;
  readonly #segmentBytes: number;

  constructor(folder: string, segmentBytes: number) {
    this.folder = folder;
    this.#segmentBytes = segmentBytes;
  }

  /**
   * Makes the folder fit for pg_receivewal, which must not run yet: ends one that outlived a killed run, and removes
   * what it would stumble over. After a crash of the machine the growing segment may have holes: it is received anew.
   * Throws LifeboatError `usage` (2) where this user may not write, `space` (15).
   */
  async prepare(): Promise<void> {
    await this.#writing(async () => this.#makeFit());
  }

  async #writing(work: () => Promise<void>): Promise<void> {
    await tellingFileErrors(`cannot receive log into ${this.folder}`, { hint: stateFolderHint }, work);
  }

  async #makeFit(): Promise<void> {
    await ensureFolder(this.folder);
    refuseOthers(this.folder);
    await endStrays(this.folder);
    const bootFile = join(this.folder, 'boot');
    const { bootId } = ownIdentity();
    const isSameBoot = bootId !== '' && (await readFile(bootFile, 'utf8').catch(() => '')) === bootId;
    for (const name of (await this.list()).growing) {
      const path = join(this.folder, name);
      // Killed, or out of space, while it was made as long as a segment: nothing had come yet.
      if (!isSameBoot || (await stat(path)).size !== this.#segmentBytes) await removeFile(path);
    }
    if (!isSameBoot) await rewriteFile(bootFile, bootId);
  }

  /**
   * Before 15 a server does not tell pg_receivewal where its slot begins, and an empty folder would begin at the
   * present. A segment of zeros (without blocks on the disk) stands for the one before; see isPlaceholder.
   */
  async seed(before: string): Promise<void> {
    const { finished, growing } = await this.list();
    if (growing.length > 0 || finished.some((name) => !name.endsWith('.history'))) return;
    await this.#writing(async () => {
      await removeFile(join(this.folder, before));
      await using file = await createFileAt(join(this.folder, before));
      await file.truncate(this.#segmentBytes);
    });
  }

  async list(): Promise<SpoolListing> {
    const names = await readdir(this.folder);
    const ofKind = (kind: string): string[] => names.filter((name) => parseWalName(name)?.kind === kind).toSorted();
    return {
      finished: [...ofKind('history'), ...ofKind('segment').toSorted(byPosition)],
      growing: ofKind('partial').toSorted(byPosition),
    };
  }

  /** The segment that pg_receivewal will ask for; undefined: it begins where the slot does. */
  async next(): Promise<bigint | undefined> {
    const { finished, growing } = await this.list();
    const last = finished.filter((name) => !name.endsWith('.history')).at(-1);
    const numbers = [
      ...growing.map((name) => segmentNumber(name, this.#segmentBytes)),
      ...(last === undefined ? [] : [segmentNumber(last, this.#segmentBytes) + 1n]),
    ];
    return numbers.length === 0 ? undefined : numbers.reduce((a, b) => (a > b ? a : b));
  }

  async bytes(): Promise<number> {
    const { finished, growing } = await this.list();
    return (finished.filter((name) => !name.endsWith('.history')).length + growing.length) * this.#segmentBytes;
  }

  /** The whole file, or how to read it if it is large. */
  async read(name: string): Promise<Buffer | WalBody> {
    return new ReadRoom().read(join(this.folder, name));
  }

  /**
   * Undefined: it was finished meanwhile. Bytes come in order, so once a byte is seen all before
   * it are there; what is read before the last one was found might lack some of them, and is read again.
   */
  async openGrowing(name: string): Promise<GrowingSegment | undefined> {
    const path = join(this.folder, name);
    let file: FileHandle;
    try {
      file = await open(path, 'r');
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const bytes = this.#segmentBytes;
    try {
      const filledBytes = await filledPart(file, bytes);
      // What comes behind is not told of in the name, and so is left out.
      const read = async (start: number, end: number): Promise<Buffer> => {
        const piece = Buffer.alloc(end - start);
        await readPiece(file, path, piece.subarray(0, Math.max(0, filledBytes - start)), start);
        return piece;
      };
      const body = bytes > maxWholeBytes ? { bytes, filledBytes, read } : await read(0, bytes);
      const head = body instanceof Uint8Array ? body : await read(0, stepBytes);
      return { head, body, filledBytes, [Symbol.asyncDispose]: async () => file.close() };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    await removeFile(join(this.folder, name));
  }

  /** For a new beginning where the slot begins. */
  async clear(): Promise<void> {
    const { finished, growing } = await this.list();
    for (const name of [...finished, ...growing]) await this.remove(name);
  }
}

/** pg_receivewal writes there by path, with our rights. */
function refuseOthers(path: string): void {
  using folder = HeldFolder.open(path);
  if (folder.isSafe && folder.owner === undefined) return;
  throw new LifeboatError('usage', `cannot receive log into ${path}: other users can exchange what is there`, {
    hint: 'run it as the user that the state folder belongs to, or set BACKUP_STATE_DIR to a folder of this user',
  });
}

/** No segment begins with zeros: PostgreSQL writes its magic number there. */
export function isPlaceholder(segment: Buffer): boolean {
  return segment.length >= 8 && segment.readBigUInt64LE(0) === 0n;
}

/** By position first: over a promotion the numbers go on, on another timeline. */
function byPosition(a: string, b: string): number {
  const [left, right] = [`${a.slice(8, 24)}${a.slice(0, 8)}`, `${b.slice(8, 24)}${b.slice(0, 8)}`];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Holds one page at least, whatever the size of pages. */
const stepBytes = 64 * 1024;
const zeros = Buffer.alloc(stepBytes);

/**
 * The place behind the last byte that is not zero. Pages come in order and none of them is all zeros (but behind a
 * switch, where all of the rest is), so a few looks find it in a gigabyte.
 */
async function filledPart(file: FileHandle, segmentBytes: number): Promise<number> {
  const part = Buffer.alloc(stepBytes);
  const lastIn = async (step: number): Promise<number> => {
    const { bytesRead } = await file.read(part, 0, stepBytes, step * stepBytes);
    const read = part.subarray(0, bytesRead);
    if (read.equals(zeros.subarray(0, bytesRead))) return 0;
    let last = bytesRead - 1;
    while (read[last] === 0) last--;
    return last + 1;
  };
  // All before `low` have something, all from `high` on have nothing.
  let [low, high] = [0, segmentBytes / stepBytes];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((await lastIn(middle)) > 0) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? 0 : (low - 1) * stepBytes + (await lastIn(low - 1));
}

/** A receiver that was started, but not written down yet, when its parent was killed: its folder is ours alone. */
async function endStrays(folder: string): Promise<void> {
  for (const pid of receiversOf(folder)) {
    const start = processStart(pid);
    for (let tries = 0; start !== undefined && processStart(pid) === start && tries < 200; tries++) {
      try {
        process.kill(pid, tries < 60 ? 'SIGINT' : 'SIGKILL');
      } catch {
        // It ended by itself.
      }
      await sleep(50);
    }
  }
}

function receiversOf(folder: string): number[] {
  const words = (pid: string): string[] => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    } catch {
      return [];
    }
  };
  try {
    return readdirSync('/proc')
      .filter(
        (pid) =>
          /^\d+$/.test(pid) &&
          words(pid).includes(`--directory=${folder}`) &&
          /(^|\/)pg_receivewal$/.test(words(pid)[0] ?? ''),
      )
      .map(Number);
  } catch {
    // No such place on this system.
    return [];
  }
}
