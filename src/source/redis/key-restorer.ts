/** Sends keys of an RDB file as RESTORE commands, a batch ahead of the replies; large values stream through. */
import { LifeboatError } from '../../lib/errors.ts';
import type { BulkConnection } from './bulk-connection.ts';
import { Crc64 } from './rdb/crc64.ts';
import type { RdbKey } from './rdb/walk.ts';
import type { FileWindow } from './rdb-file.ts';
import { redisError } from './errors.ts';

export interface KeyRestorerOptions {
  readonly bulk: BulkConnection;
  readonly window: FileWindow;
  /** Of the file; it goes into the payloads' footers. */
  readonly rdbVersion: number;
  /** Overwrite keys that are there. */
  readonly replace: boolean;
}

const batchBytes = 1024 * 1024;
const batchCommands = 500;
/** Larger keys and values go out in pieces. */
const smallBytes = 256 * 1024;
/** Room for the words of a RESTORE besides key and payload. */
const wordsBytes = 512;

export class KeyRestorer {
  /** Keys whose RESTORE the server has answered with OK. */
  restored = 0;
  readonly #options: KeyRestorerOptions;
  readonly #version = Buffer.alloc(2);
  #db = 0;
  /** Two that take turns: once its replies are here, a batch's bytes are no longer needed. */
  #batch = Buffer.allocUnsafeSlow(batchBytes);
  #other = Buffer.allocUnsafeSlow(batchBytes);
  #used = 0;
  /** Commands in the batch, and how many of them are keys; the same for the batch that awaits its replies. */
  #counts = { commands: 0, keys: 0 };
  #sent = { commands: 0, keys: 0 };

  constructor(options: KeyRestorerOptions) {
    this.#options = options;
    this.#version.writeUInt16LE(options.rdbVersion);
  }

  /** Takes one key; its bytes must stay until the promise resolves. */
  async add(key: RdbKey): Promise<void> {
    if (key.hasMetadata) throw hasMetadata();
    const small = key.key.length + key.valueLength <= smallBytes;
    const needed = small ? key.key.length + key.valueLength + wordsBytes : wordsBytes;
    if (this.#used + needed > batchBytes || this.#counts.commands >= batchCommands) await this.#exchange();
    if (key.db !== this.#db) {
      this.#db = key.db;
      this.#text(`*2\r\n$6\r\nSELECT\r\n${wordOf(String(key.db))}`);
      this.#counts.commands++;
    }
    const tail = this.#tailWords(key);
    this.#text(`*${4 + tail.length}\r\n$7\r\nRESTORE\r\n$${key.key.length}\r\n`);
    const afterKey = `\r\n${wordOf(String(key.expireAtMs ?? 0))}$${key.valueLength + 11}\r\n`;
    const afterPayload = `\r\n${tail.map(wordOf).join('')}`;
    if (!small) return this.#addLarge(key, afterKey, afterPayload);
    this.#bytes(key.key);
    this.#text(afterKey);
    const start = this.#used;
    this.#batch[this.#used++] = key.typeCode;
    this.#bytes(await this.#options.window.read(key.valueOffset, key.valueLength));
    this.#bytes(this.#version);
    new Crc64().update(this.#batch, start, this.#used).writeTo(this.#batch, this.#used);
    this.#used += 8;
    this.#text(afterPayload);
    this.#counts.commands++;
    this.#counts.keys++;
    return undefined;
  }

  /** Sends the rest and waits for all replies. */
  async finish(): Promise<void> {
    await this.#exchange();
    await this.#exchange();
  }

  #tailWords(key: RdbKey): string[] {
    const words = ['ABSTTL'];
    if (this.#options.replace) words.push('REPLACE');
    if (key.idleSeconds !== undefined) words.push('IDLETIME', String(key.idleSeconds));
    else if (key.frequency !== undefined) words.push('FREQ', String(key.frequency));
    return words;
  }

  /** The command's head is in the batch: sends that, then the rest of the command in pieces. */
  async #addLarge(key: RdbKey, afterKey: string, afterPayload: string): Promise<void> {
    const { bulk, window } = this.#options;
    const crc = new Crc64().update(Buffer.from([key.typeCode]));
    await bulk.send(Buffer.from(this.#batch.subarray(0, this.#used)));
    this.#used = 0;
    await bulk.send(Buffer.from(key.key));
    await bulk.send(Buffer.concat([Buffer.from(afterKey), Buffer.from([key.typeCode])]));
    for await (const piece of window.pieces(key.valueOffset, key.valueLength)) {
      crc.update(piece);
      // Copied: the window is reused while the socket still holds it.
      await bulk.send(Buffer.from(piece));
    }
    await bulk.send(Buffer.concat([this.#version, crc.update(this.#version).digest(), Buffer.from(afterPayload)]));
    this.#counts.commands++;
    this.#counts.keys++;
    await this.#exchange();
  }

  #text(text: string): void {
    this.#used += this.#batch.write(text, this.#used, 'latin1');
  }

  #bytes(bytes: Uint8Array): void {
    this.#batch.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Sends the batch, then reads the replies of the one before. */
  async #exchange(): Promise<void> {
    const { bulk } = this.#options;
    if (this.#used > 0) await bulk.send(this.#batch.subarray(0, this.#used));
    const error = await bulk.pass(this.#sent.commands);
    if (error !== undefined) throw refused(error, bulk);
    this.restored += this.#sent.keys;
    this.#sent = this.#counts;
    this.#counts = { commands: 0, keys: 0 };
    [this.#batch, this.#other] = [this.#other, this.#batch];
    this.#used = 0;
  }
}

function wordOf(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function hasMetadata(): LifeboatError {
  return new LifeboatError('tool', 'modules have added metadata to a key, which cannot be restored key by key', {
    hint: 'use --redis-method replica, or file with the server stopped',
  });
}

function refused(error: string, bulk: BulkConnection): LifeboatError {
  if (error.startsWith('BUSYKEY')) {
    return new LifeboatError('confirmation', 'a key to restore is in the target already', {
      hint: 'confirm that keys may be replaced',
    });
  }
  if (/version or checksum|Bad data format/i.test(error)) {
    return new LifeboatError('integrity', `Redis at ${bulk.endpoint.text} did not take a value: ${error}`);
  }
  return redisError(new Error(error), 'cannot restore a key', bulk.endpoint);
}
