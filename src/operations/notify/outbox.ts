/**
 * What is to be sent by one channel, in order: a file each in `outbox/<channel>/`, written before anything is sent and
 * removed once the other side has it; and how the channel is doing, in `channels/<channel>.json`. A process that dies
 * in between leaves a message to be sent again, with the same id.
 */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemCodeOf } from '../../lib/errors.ts';
import { ensureFolder } from '../../lib/fs.ts';
import { removeFile } from '../../lib/held-files.ts';
import { readStateFile, undefinedWhereDamaged, writeStateFile } from '../../repository/state-file.ts';
import { noticeSchema, type Notice } from './notice.ts';

const channelStateSchema = z.object({
  /** Attempts in a row that failed; since when, why, and when it is tried again. */
  failures: z.int(),
  failingSince: z.iso.datetime().optional(),
  lastError: z.string().optional(),
  nextTryMs: z.number().optional(),
  deliveredAt: z.iso.datetime().optional(),
  /** Never sent: the channel had failed for too long, or refused them again and again. */
  dropped: z.int(),
});

export type ChannelState = Readonly<z.infer<typeof channelStateSchema>>;

const newState: ChannelState = { failures: 0, dropped: 0 };

/** No more wait for a channel: the oldest go. */
export const mostWaiting = 1000;

export interface WaitingNotice {
  /** Name of its file. */
  readonly file: string;
  /** By this host's clock, milliseconds since 1970. */
  readonly sinceMs: number;
  readonly notice: Notice;
}

export class Outbox {
  readonly #folder: string;
  readonly #stateFile: string;
  /** For withFileLock; its folder is there once `prepare` has been called. */
  readonly lockFile: string;

  constructor(folder: string, channel: string) {
    this.#folder = join(folder, 'outbox', channel);
    this.#stateFile = join(folder, 'channels', `${channel}.json`);
    this.lockFile = join(folder, 'channels', `${channel}.lock`);
  }

  async prepare(): Promise<void> {
    await ensureFolder(join(this.#stateFile, '..'));
  }

  /** Durable once it resolves. Rejects where the state folder cannot be written. */
  async add(notice: Notice): Promise<void> {
    const name = `${String(Date.now()).padStart(15, '0')}-${order()}-${notice.id}.json`;
    await writeStateFile(join(this.#folder, name), notice);
  }

  /** Names of the files, in order; nothing else is looked at. */
  async names(): Promise<string[]> {
    try {
      return (await readdir(this.#folder)).filter((name) => namePattern.test(name)).toSorted();
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /** In order. What is torn or was planted is removed. */
  async waiting(): Promise<WaitingNotice[]> {
    const found: WaitingNotice[] = [];
    for (const file of await this.names()) {
      const notice = await readStateFile(join(this.#folder, file), noticeSchema, {}).catch(undefinedWhereDamaged);
      if (notice === undefined) await this.remove(file);
      else found.push({ file, sinceMs: Number(file.slice(0, 15)), notice });
    }
    return found;
  }

  async remove(file: string): Promise<void> {
    await removeFile(join(this.#folder, file));
  }

  async readState(): Promise<ChannelState> {
    const state = await readStateFile(this.#stateFile, channelStateSchema, {}).catch(undefinedWhereDamaged);
    return state ?? newState;
  }

  async writeState(state: ChannelState): Promise<void> {
    await writeStateFile(this.#stateFile, state);
  }
}

const namePattern = /^\d{15}-[0-9a-z]{6}-[0-9a-f-]{36}\.json$/;

let counter = 0;

/** What one process writes within a millisecond stays in order. */
function order(): string {
  counter = (counter + 1) % 46_656;
  return counter.toString(36).padStart(3, '0') + (randomBytes(2).readUInt16BE() % 46_656).toString(36).padStart(3, '0');
}
