/** Sends keys of an RDB file as RESTORE commands, a batch ahead of the replies; large values stream through. */
import { LifeboatError } from '../../lib/errors.ts';
import type { BulkConnection } from './bulk-connection.ts';
import { commandOf, crlf } from './bulk-connection.ts';
import { Crc64 } from './rdb/crc64.ts';
import type { RdbKey } from './rdb/walk.ts';
import type { FileWindow } from './rdb-file.ts';
import { redisError } from './redis-error.ts';

export interface KeyRestorerOptions {
  readonly bulk: BulkConnection;
  readonly window: FileWindow;
  /** Of the file; it goes into the payloads' footers. */
  readonly rdbVersion: number;
  /** Overwrite keys that are there. */
  readonly replace: boolean;
}

const batchBytes = 512 * 1024;
const batchCommands = 500;
/** Larger values go out in pieces. */
const wholeValueBytes = 256 * 1024;

export class KeyRestorer {
  /** Keys whose RESTORE the server has answered with OK. */
  restored = 0;
  readonly #options: KeyRestorerOptions;
  readonly #version = Buffer.alloc(2);
  #db = 0;
  #batch: Buffer[] = [];
  #batchBytes = 0;
  /** Commands in the batch, and how many of them are keys; the same for the batch that awaits its replies. */
  #counts = { commands: 0, keys: 0 };
  #sent = { commands: 0, keys: 0 };

  constructor(options: KeyRestorerOptions) {
    this.#options = options;
    this.#version.writeUInt16LE(options.rdbVersion);
  }

  /** Takes one key; its bytes are used before this returns for the first time. */
  async add(key: RdbKey): Promise<void> {
    if (key.db !== this.#db) {
      this.#db = key.db;
      this.#push(commandOf(['SELECT', String(key.db)]));
      this.#counts.commands++;
    }
    const tail = this.#tailWords(key);
    const payloadBytes = key.valueLength + 11;
    const head = Buffer.concat([
      Buffer.from(`*${4 + tail.length}\r\n$7\r\nRESTORE\r\n$${key.key.length}\r\n`),
      key.key,
      Buffer.from(`\r\n${wordOf(String(key.expireAtMs ?? 0))}$${payloadBytes}\r\n`),
      Buffer.from([key.typeCode]),
    ]);
    const end = Buffer.concat([crlf, ...tail.map((word) => Buffer.from(wordOf(word)))]);
    if (key.valueLength > wholeValueBytes) return this.#addLarge(key, head, end);
    const value = await this.#options.window.read(key.valueOffset, key.valueLength);
    const crc = new Crc64().update(Buffer.from([key.typeCode])).update(value).update(this.#version).digest();
    this.#push(Buffer.concat([head, value, this.#version, crc, end]));
    this.#counts.commands++;
    this.#counts.keys++;
    if (this.#batchBytes >= batchBytes || this.#counts.commands >= batchCommands) await this.#exchange();
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

  async #addLarge(key: RdbKey, head: Buffer, end: Buffer): Promise<void> {
    const { bulk, window } = this.#options;
    await this.#exchange();
    const crc = new Crc64().update(Buffer.from([key.typeCode]));
    await bulk.send(head);
    for await (const piece of window.pieces(key.valueOffset, key.valueLength)) {
      crc.update(piece);
      // Copied: the window is reused while the socket still holds it.
      await bulk.send(Buffer.from(piece));
    }
    await bulk.send(Buffer.concat([this.#version, crc.update(this.#version).digest(), end]));
    this.#counts = { commands: 1, keys: 1 };
    await this.#exchange();
  }

  #push(bytes: Buffer): void {
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
  }

  /** Sends the batch, then reads the replies of the one before. */
  async #exchange(): Promise<void> {
    const { bulk } = this.#options;
    if (this.#batch.length > 0) await bulk.send(Buffer.concat(this.#batch));
    const error = await bulk.pass(this.#sent.commands);
    if (error !== undefined) throw refused(error, bulk);
    this.restored += this.#sent.keys;
    this.#sent = this.#counts;
    this.#counts = { commands: 0, keys: 0 };
    this.#batch = [];
    this.#batchBytes = 0;
  }
}

function wordOf(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function refused(error: string, bulk: BulkConnection): LifeboatError {
  if (error.startsWith('BUSYKEY')) return new LifeboatError('confirmation', 'a key to restore is in the target already', { hint: 'confirm that keys may be replaced' });
  if (/version or checksum|Bad data format/i.test(error)) return new LifeboatError('integrity', `Redis at ${bulk.endpoint.text} did not take a value: ${error}`);
  return redisError(new Error(error), 'cannot restore a key', bulk.endpoint);
}
