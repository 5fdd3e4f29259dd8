/**
 * Very many keys, each once. SCAN may return a key twice, and an RDB with a key twice is refused by the
 * server that loads it. So keys are dealt out by a hash into partitions, which spill to files, and each
 * partition is deduplicated in memory by the keys themselves: exact, and memory stays at a 256th of
 * all keys plus 4 MiB, whatever their number.
 */
import { appendTo, removeFile } from '../../lib/held-files.ts';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const partitionCount = 256;
const firstBytes = 1024;
const spillBytes = 16 * 1024;

interface Partition {
  buffer: Buffer;
  used: number;
  spilled: boolean;
}

const noBuffer = Buffer.alloc(0);

export class KeySpool {
  readonly #folder: string;
  readonly #name: string;
  readonly #partitions: Partition[];

  /** `name` tells several spools in one folder apart. */
  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.#partitions = Array.from({ length: partitionCount }, () => ({ buffer: noBuffer, used: 0, spilled: false }));
  }

  /** Takes a copy of a key. Await what it returns, if anything, before the next. */
  add(key: Buffer): Promise<void> | undefined {
    const number = partitionOf(key);
    const partition = this.#partitions[number] as Partition;
    if (partition.used + 4 + key.length > spillBytes) return this.#spill(number, partition, key);
    if (partition.used + 4 + key.length > partition.buffer.length) grow(partition, partition.used + 4 + key.length);
    partition.buffer.writeUInt32LE(key.length, partition.used);
    partition.buffer.set(key, partition.used + 4);
    partition.used += 4 + key.length;
    return undefined;
  }

  /** The distinct keys, partition by partition; each partition once, then it is gone. */
  async *partitions(): AsyncGenerator<ReadonlySet<string>> {
    for (let number = 0; number < partitionCount; number++) yield await this.takePartition(number);
  }

  /** The distinct keys of one partition in latin1 (one character a byte); frees it. Two spools deal out alike. */
  async takePartition(number: number): Promise<Set<string>> {
    const partition = this.#partitions[number] as Partition;
    const keys = new Set<string>();
    if (partition.spilled) {
      addRecords(keys, await readFile(this.#file(number)));
      await removeFile(this.#file(number));
    }
    addRecords(keys, partition.buffer.subarray(0, partition.used));
    this.#partitions[number] = { buffer: noBuffer, used: 0, spilled: false };
    return keys;
  }

  static readonly partitionCount = partitionCount;

  async #spill(number: number, partition: Partition, key: Buffer): Promise<void> {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(key.length);
    const bytes = Buffer.concat([partition.buffer.subarray(0, partition.used), length, key]);
    partition.used = 0;
    partition.spilled = true;
    await appendTo(this.#file(number), bytes);
  }

  #file(number: number): string {
    return join(this.#folder, `keys-${this.#name}-${number}`);
  }
}

function grow(partition: Partition, needed: number): void {
  const larger = Buffer.allocUnsafeSlow(
    Math.min(spillBytes, Math.max(needed, firstBytes, partition.buffer.length * 2)),
  );
  larger.set(partition.buffer.subarray(0, partition.used));
  partition.buffer = larger;
}

function addRecords(keys: Set<string>, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at);
    keys.add(bytes.toString('latin1', at + 4, at + 4 + length));
    at += 4 + length;
  }
}

function partitionOf(key: Buffer): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ (key[at] as number), 0x01000193);
  return (hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & (partitionCount - 1);
}
