/**
 * Hands archived WAL to a recovering server that runs as another user, or in a sandbox, and can read neither repository
 * nor key: its restore_command asks by a pipe and takes the answer from a folder into which only we write. 0 delivered;
 * 1 only for what the archive is known not to have; above 125 for all else, so that no recovery ends early
 * because of a failure.
 */
import { HeldFolder } from '../../lib/held-folder.ts';
import { removeFile } from '../../lib/held-files.ts';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import { writeOwned } from '../../lib/owned-files.ts';
import type { Repository } from '../../repository/repository.ts';
import { readWal } from '../../repository/wal/archive.ts';
import type { OpenedWal } from '../../repository/wal/stored.ts';
import { parseWalName } from '../../repository/wal/names.ts';
import type { Owner } from '../../lib/owners.ts';
import { shellWord } from '../shell-words.ts';
import { TablespaceGuard } from './tablespace-guard.ts';
import { hearRequests, type WalRequest } from './wal-requests.ts';
import type { WalInventory } from './wal-inventory.ts';
import type { WalRun } from './wal-run.ts';
import { openSegment } from '../wal/segment.ts';
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
  /** Ours, not there yet; the server must be able to read in it. */
  readonly spool: string;
  readonly owner: Owner | undefined;
  /** The server may outlive us: then its restore_command looks whether we are still there. */
  readonly isThrowaway: boolean;
}

/** Prefetched segments take no more. */
const aheadBytes = 64 * 1024 * 1024;

export async function serveWal(options: WalServerOptions): Promise<WalServer> {
  const { spool, owner, isThrowaway } = options;
  await mkdir(spool, { mode: 0o711 });
  using held = HeldFolder.open(spool);
  held.setMode(0o711);
  const script = join(spool, 'restore-wal');
  await writeOwned(script, scriptText(spool, isThrowaway ? undefined : process.pid), owner, 0o500);
  const server = new Server(options);
  const requests = await hearRequests(join(spool, 'ask'), owner, (request) => server.answer(request));
  return {
    command: `${shellWord(script).replaceAll('%', '%%')} %f "%p"`,
    failure: () => server.failure,
    delivered: () => server.delivered,
    last: () => server.last,
    [Symbol.asyncDispose]: async () => {
      // Nobody may ask any more: there would be no answer.
      await writeOwned(join(spool, 'ended'), '', owner).catch(() => {});
      await requests[Symbol.asyncDispose]();
    },
  };
}

/**
 * Asks with its own process id, so that no answer to an earlier question is taken for one to this. `asked`: the process
 * that answers, where it can be seen.
 */
function scriptText(spool: string, asked: number | undefined): string {
  const isGone = asked === undefined ? 'false' : `[ -d /proc/self ] && [ ! -d /proc/${asked} ]`;
  return `#!/bin/sh
# restore_command of a recovery by lifeboat: asks the process that runs it
s=${shellWord(spool)}
n="$1.$$"
if [ -f "$s/ended" ] || { ${isGone}; }; then exit 255; fi
echo "$1 $$" > "$s/ask" || exit 255
while :; do
  if [ -f "$s/$n.here" ]; then cp "$s/$n.here" "$2" && exit 0; exit 255; fi
  if [ -f "$s/$n.none" ]; then exit 1; fi
  if [ -f "$s/$n.fail" ] || [ -f "$s/ended" ]; then exit 255; fi
  if ${isGone}; then exit 255; fi
  sleep 0.02
done
`;
}

class Server {
  delivered = 0;
  last: string | undefined;
  failure: unknown;
  readonly #options: WalServerOptions;
  readonly #guard = new TablespaceGuard();
  readonly #ahead = new Map<string, Promise<OpenedWal>>();
  /** Of the last question; the server asks one after the other. */
  #answered: string | undefined;

  constructor(options: WalServerOptions) {
    this.#options = options;
  }

  async answer({ name, asker }: WalRequest): Promise<void> {
    const { spool, owner } = this.#options;
    if (this.#answered !== undefined) await removeFile(this.#answered);
    const put = async (kind: string, content: string | AsyncIterable<Uint8Array>): Promise<void> => {
      const path = join(spool, `${name}.${asker}.${kind}`);
      const temporary = join(spool, 'next');
      await removeFile(temporary);
      await writeOwned(temporary, content, owner);
      await rename(temporary, path);
      this.#answered = path;
    };
    try {
      if (!this.#has(name)) return await put('none', '');
      await put('here', this.#piecesOf(name));
      this.delivered++;
      if (parseWalName(name)?.kind === 'segment') this.last = name;
    } catch (error) {
      this.failure ??= error;
      await put('fail', '').catch(() => {});
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

  /** Each is looked at before it is given out, and all of them before the file has its name. */
  async *#piecesOf(name: string): AsyncGenerator<Uint8Array> {
    const { repository, inventory } = this.#options;
    if (parseWalName(name)?.kind === 'history') return yield await this.#historyOf(name);
    const content = await (this.#ahead.get(name) ?? openSegment(repository, inventory.systemId, name));
    this.#ahead.delete(name);
    this.#readAhead(name, content.bytes);
    let isFirst = true;
    for await (const piece of content.pieces()) {
      if (isFirst) this.#refuseForeign(name, piece, content.bytes);
      await this.#guard.check(name, piece, isFirst);
      isFirst = false;
      yield piece;
    }
  }

  async #historyOf(name: string): Promise<Buffer> {
    const { repository, inventory } = this.#options;
    // None that we go along: the server only looks whether it is there, so as not to take its number.
    if (inventory.damagedHistories.has(parseWalName(name)?.timeline ?? 0)) {
      return Buffer.from('# damaged in the archive\n');
    }
    return readWal(repository, inventory.systemId, name);
  }

  /**
   * A server takes a segment that is not its own for the end of the log, and an unbounded recovery would end there and
   * call it a success.
   */
  #refuseForeign(name: string, head: Buffer, bytes: number): void {
    const { inventory, run, segmentBytes } = this.#options;
    const position = (run.first + BigInt(run.names.indexOf(name))) * BigInt(segmentBytes);
    const fault = segmentFault(head, { systemId: inventory.systemId, segmentBytes, position }, bytes);
    if (fault !== undefined) throw new LifeboatError('integrity', `WAL segment ${name}: ${fault}`);
  }

  #readAhead(name: string, bytes: number): void {
    const { repository, inventory, run } = this.#options;
    const at = run.names.indexOf(name);
    const count = Math.max(1, Math.min(8, Math.floor(aheadBytes / bytes)));
    for (const each of run.names.slice(at + 1, at + 1 + count)) {
      if (this.#ahead.has(each)) continue;
      const reading = openSegment(repository, inventory.systemId, each);
      reading.catch(() => {});
      this.#ahead.set(each, reading);
    }
  }
}
