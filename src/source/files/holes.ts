/**
 * Where an open file has data. Node has no lseek(SEEK_HOLE); so filefrag, which comes with every Linux that has ext4,
 * is asked where the holes are large, and where it cannot tell (tmpfs, NFS) or a hole is small, the file is read once
 * for its blocks of zeros, at the speed of memory.
 */
import type { BigIntStats } from 'node:fs';
import { createInterface } from 'node:readline';
import { LifeboatError } from '../../lib/errors.ts';
import { startTool } from '../../lib/exec.ts';
import { StretchList, type Stretch } from './sparse-map.ts';
import { readSome } from './system-calls.ts';

/** A hole of fewer bytes is stored as the zeros that it reads as. */
const minHoleBytes = 64 * 1024;
/** With so many bytes of hole, starting a program is cheaper than reading them. */
const askBytes = 64 * 1024 * 1024;
const readBytes = 1024 * 1024;
const zeros = Buffer.alloc(readBytes);

/** Bytes of an existing file that take no room on the disk (or lie compressed there). */
export function holeBytes(stat: BigIntStats): number {
  return Math.max(0, Number(stat.size - stat.blocks * 512n));
}

/**
 * Stretches of the file `fd` that hold data, over its `stat.size` bytes, in order; what lies between them reads as
 * zeros. Rejects with what a read says, and when aborted.
 */
export async function findData(fd: number, stat: BigIntStats, signal: AbortSignal): Promise<readonly Stretch[]> {
  const told = holeBytes(stat) < askBytes ? undefined : await askFilefrag(fd, stat, signal);
  return told ?? (await scan(fd, Number(stat.size), signal));
}

/** Whether all bytes of a stretch of the file are zeros, or behind its end. */
export async function isZero(fd: number, { start, end }: Stretch, buffer: Buffer): Promise<boolean> {
  for (let at = start; at < end;) {
    const bytes = await readSome(fd, buffer, 0, Math.min(buffer.length, readBytes, end - at), at);
    if (bytes === 0) return true;
    if (zeros.compare(buffer, 0, bytes, 0, bytes) !== 0) return false;
    at += bytes;
  }
  return true;
}

/** Undefined where it is not installed, the file system cannot tell, or what it tells cannot be all. */
async function askFilefrag(
  fd: number,
  stat: BigIntStats,
  signal: AbortSignal,
): Promise<readonly Stretch[] | undefined> {
  const list = new StretchList(minHoleBytes);
  let foundBytes = 0;
  try {
    // -s: what is still on its way to the disk is brought there first, and so has its place in the answer.
    const tool = await startTool({
      file: 'filefrag',
      args: ['-s', '-b1', '-v', '/proc/self/fd/0'],
      stdin: fd,
      stdout: 'pipe',
      signal,
    });
    if (tool.stdout !== null) {
      for await (const line of createInterface({ input: tool.stdout, crlfDelay: Infinity })) {
        const stretch = readExtent(line, Number(stat.size));
        if (stretch === undefined) continue;
        foundBytes += stretch.end - stretch.start;
        list.add(stretch);
      }
    }
    await tool.result;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LifeboatError) return undefined;
    throw error;
  }
  // Blocks on disk are data, but for the few that hold the list of them: less than one in a hundred.
  const onDisk = Math.min(Number(stat.blocks) * 512, Number(stat.size));
  return foundBytes >= onDisk * 0.98 - readBytes ? list.get() : undefined;
}

/** A line such as "   0:        0..    4095:   35880960..  35885055:   4096:             last,eof", in bytes. */
function readExtent(line: string, size: number): Stretch | undefined {
  const [, first, last] = /^ *\d+: *(\d{1,16})\.\. *(\d{1,16}):/.exec(line) ?? [];
  if (first === undefined || last === undefined) return undefined;
  const start = Number(first);
  const end = Math.min(Number(last) + 1, size);
  return start < end ? { start, end } : undefined;
}

async function scan(fd: number, size: number, signal: AbortSignal): Promise<readonly Stretch[]> {
  const list = new StretchList(minHoleBytes);
  const buffer = Buffer.allocUnsafe(readBytes);
  for (let at = 0; at < size;) {
    signal.throwIfAborted();
    const bytes = await readSome(fd, buffer, 0, Math.min(readBytes, size - at), at);
    if (bytes === 0) {
      // It became shorter: told as that when it is read for the tar.
      list.add({ start: at, end: size });
      break;
    }
    addData(list, buffer.subarray(0, bytes), at);
    at += bytes;
  }
  return list.get();
}

/** By 64 KiB of the file, so that stretches begin and end where blocks of a tar do. */
function addData(list: StretchList, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + minHoleBytes - ((position + at) % minHoleBytes));
    if (zeros.compare(bytes, at, end, 0, end - at) !== 0) list.add({ start: position + at, end: position + end });
    at = end;
  }
}
