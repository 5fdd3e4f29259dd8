/**
 * Hands archived WAL to a recovering server that runs as another user and can read neither repository nor
 * key: its restore_command asks by a file in a private folder and takes the answer from there. 0 delivered;
 * 1 only for what the archive is known not to have; above 125 for all else, so that no recovery ends early
 * because of a failure.
 */
import { chmod, chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseWalName } from '../../repository/wal/names.ts';
import type { FolderOwner } from '../../source/postgres/base/placer.ts';
import { TablespaceGuard } from './tablespace-guard.ts';
import type { WalInventory } from './wal-inventory.ts';
import type { WalRun } from './wal-run.ts';
import { readSegment } from '../wal/segment.ts';
import { segmentNumber } from '../../source/postgres/wal/file-name.ts';
import { segmentFault } from '../../source/postgres/wal/segment-header.ts';

export interface WalServer extends AsyncDisposable {
  /** For restore_command. */
  readonly command: string;
  /** Why a segment could not be delivered. */
  failure(): unknown;
  readonly delivered: () => number;
  /** Name of the segment that was asked for last. */
  readonly last: () => string | undefined;
}

export interface WalServerOptions {
  readonly repository: Repository;
  readonly inventory: WalInventory;
  readonly run: WalRun;
  readonly segmentBytes: number;
  /** Private; exists. */
  readonly folder: string;
  readonly owner: FolderOwner | undefined;
}

/** Prefetched segments take no more. */
const aheadBytes = 64 * 1024 * 1024;

export async function serveWal(options: WalServerOptions): Promise<WalServer> {
  const spool = join(options.folder, 'wal');
  const script = join(options.folder, 'restore-wal');
  await mkdir(spool, { mode: 0o700 });
  await writeFile(script, scriptText(spool), { mode: 0o500 });
  if (options.owner !== undefined) {
    for (const path of [spool, script]) await chown(path, options.owner.uid, options.owner.gid);
  }
  const server = new Server(options, spool);
  const serving = server.serve();
  return {
    command: `${script} %f "%p"`,
    failure: () => server.failure,
    delivered: () => server.delivered,
    last: () => server.last,
    [Symbol.asyncDispose]: async () => {
      server.ended = true;
      await serving;
    },
  };
}

function scriptText(spool: string): string {
  return `#!/bin/sh
# restore_command of a recovery by lifeboat: asks the process that runs it
s='${spool}'
: > "$s/$1.want" || exit 255
while :; do
  if [ -f "$s/$1.here" ]; then mv -f "$s/$1.here" "$2" && exit 0; exit 255; fi
  if [ -f "$s/$1.none" ]; then rm -f "$s/$1.none"; exit 1; fi
  if [ -f "$s/$1.fail" ] || [ -f "$s/ended" ]; then exit 255; fi
  if [ -d /proc/self ] && [ ! -d /proc/${process.pid} ]; then exit 255; fi
  sleep 0.02
done
`;
}

class Server {
  ended = false;
  delivered = 0;
  last: string | undefined;
  failure: unknown;
  readonly #options: WalServerOptions;
  readonly #spool: string;
  readonly #guard = new TablespaceGuard();
  readonly #ahead = new Map<string, Promise<Buffer>>();

  constructor(options: WalServerOptions, spool: string) {
    this.#options = options;
    this.#spool = spool;
  }

  async serve(): Promise<void> {
    while (!this.ended) {
      for (const entry of await readdir(this.#spool).catch(() => [])) {
        if (entry.endsWith('.want')) await this.#answer(entry.slice(0, -'.want'.length));
      }
      await sleep(10);
    }
    await writeFile(join(this.#spool, 'ended'), '').catch(() => {});
  }

  async #answer(name: string): Promise<void> {
    await rm(join(this.#spool, `${name}.want`), { force: true });
    try {
      const bytes = this.#has(name) ? await this.#read(name) : undefined;
      if (bytes === undefined) return await writeFile(join(this.#spool, `${name}.none`), '');
      const temporary = join(this.#spool, `${name}.tmp`);
      await writeFile(temporary, bytes, { mode: 0o600 });
      await chmod(temporary, 0o600);
      const { owner } = this.#options;
      if (owner !== undefined) await chown(temporary, owner.uid, owner.gid);
      await rename(temporary, join(this.#spool, `${name}.here`));
      this.delivered++;
      if (parseWalName(name)?.kind === 'segment') this.last = name;
    } catch (error) {
      this.failure ??= error;
      await writeFile(join(this.#spool, `${name}.fail`), '').catch(() => {});
    }
  }

  /** False: known not to be there. Throws for a gap. */
  #has(name: string): boolean {
    const { run, inventory, segmentBytes } = this.#options;
    const file = parseWalName(name);
    if (file?.kind === 'history') {
      return inventory.log.histories.has(file.timeline) || inventory.damagedHistories.has(file.timeline);
    }
    if (file?.kind !== 'segment') return false;
    if (run.names.includes(name)) return true;
    if (name === run.missing || (run.missing !== undefined && segmentNumber(name, segmentBytes) > run.last)) {
      throw (
        run.damage ??
        new LifeboatError('integrity', `WAL segment ${run.missing} is missing, although later ones are there`)
      );
    }
    return false;
  }

  async #read(name: string): Promise<Buffer> {
    const { repository, inventory, run, segmentBytes } = this.#options;
    // None that we go along: the server only looks whether it is there, so as not to take its number.
    if (inventory.damagedHistories.has(parseWalName(name)?.timeline ?? 0) && name.endsWith('.history')) {
      return Buffer.from('# damaged in the archive\n');
    }
    const read = async (each: string): Promise<Buffer> => {
      const content = await readSegment(repository, inventory.systemId, each);
      const place = run.names.indexOf(each);
      // A server takes a segment that is not its own for the end of the log, and an unbounded recovery would end there
      // and call it a success.
      const fault =
        place === -1
          ? undefined
          : segmentFault(content, {
              systemId: inventory.systemId,
              segmentBytes,
              position: (run.first + BigInt(place)) * BigInt(segmentBytes),
            });
      if (fault !== undefined) throw new LifeboatError('integrity', `WAL segment ${each}: ${fault}`);
      return content;
    };
    const at = run.names.indexOf(name);
    const bytes = await (this.#ahead.get(name) ?? read(name));
    this.#ahead.delete(name);
    if (at !== -1) await this.#guard.check(name, bytes);
    const next =
      at === -1
        ? []
        : run.names.slice(at + 1, at + 1 + Math.max(1, Math.min(8, Math.floor(aheadBytes / segmentBytes))));
    for (const each of next) {
      if (this.#ahead.has(each)) continue;
      const reading = read(each);
      reading.catch(() => {});
      this.#ahead.set(each, reading);
    }
    return bytes;
  }
}
