/**
 * Very many keys, each once. SCAN may return a key twice, and an RDB with a key twice is refused by the
 * server that loads it. So keys are dealt out by a hash into partitions, which spill to files, and each
 * partition is deduplicated in memory by the keys themselves: exact, and memory stays at a 256th of
 * all keys plus 16 MiB, whatever their number.
 */
import { appendFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const partitionCount = 256;
const spillBytes = 64 * 1024;

interface Partition {
  buffers: Buffer[];
  bytes: number;
  spilled: boolean;
}

export class KeySpool {
  readonly #folder: string;
  readonly #name: string;
  readonly #partitions: Partition[];

  /** `name` tells several spools in one folder apart. */
  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.#partitions = Array.from({ length: partitionCount }, () => ({ buffers: [], bytes: 0, spilled: false }));
  }

  /** Takes a copy of a key. Await what it returns, if anything. */
  add(key: Buffer): Promise<void> | undefined {
    const number = partitionOf(key);
    const partition = this.#partitions[number] as Partition;
    const record = Buffer.allocUnsafe(4 + key.length);
    record.writeUInt32LE(key.length);
    key.copy(record, 4);
    partition.buffers.push(record);
    partition.bytes += record.length + 64;
    return partition.bytes > spillBytes ? this.#spill(number, partition) : undefined;
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
      await rm(this.#file(number));
    }
    for (const record of partition.buffers) addRecords(keys, record);
    partition.buffers = [];
    return keys;
  }

  static readonly partitionCount = partitionCount;

  async #spill(number: number, partition: Partition): Promise<void> {
    const bytes = Buffer.concat(partition.buffers);
    partition.buffers = [];
    partition.bytes = 0;
    partition.spilled = true;
    await appendFile(this.#file(number), bytes, { mode: 0o600 });
  }

  #file(number: number): string {
    return join(this.#folder, `keys-${this.#name}-${number}`);
  }
}

function addRecords(keys: Set<string>, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
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
