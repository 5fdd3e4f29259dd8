/**
 * An archive for tests: the server copies its WAL into a folder by archive_command, and what lies there
 * is put into the repository as `wal push` would put it.
 */
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadedConfig } from '../../../src/config/load.ts';
import { withRepository } from '../../../src/operations/open-repository.ts';
import { putWal } from '../../../src/repository/wal/archive.ts';

export interface WalShipper extends AsyncDisposable {
  /** For archive_command. */
  readonly command: string;
  /** Begins to ship, side by side with the test. */
  begin(loaded: LoadedConfig, systemId: string): void;
  /** Waits until a file has been shipped. */
  shipped(name: string): Promise<void>;
}

export function walShipper(): WalShipper {
  const folder = mkdtempSync(join(tmpdir(), 'walship-'));
  chmodSync(folder, 0o777);
  const done = new Set<string>();
  let ended = false;
  let loop: Promise<void> = Promise.resolve();
  return {
    command: `cp %p ${folder}/.%f && mv ${folder}/.%f ${folder}/%f`,
    begin: (loaded, systemId) => {
      loop = withRepository(loaded, { signal: new AbortController().signal, emit: () => {} }, async (repository) => {
        const sealing = await repository.writeKey();
        while (!ended) {
          for (const name of readdirSync(folder)
            .filter((each) => !each.startsWith('.') && !done.has(each))
            .sort()) {
            await putWal(repository, systemId, name, readFileSync(join(folder, name)), {
              sealing,
              compression: { method: 'zstd', level: 1 },
            });
            done.add(name);
          }
          await sleep(50);
        }
      });
      loop.catch(() => {});
    },
    shipped: async (name) => {
      while (!done.has(name)) {
        await Promise.race([sleep(20), loop.then(() => Promise.reject(new Error('the shipper has ended')))]);
      }
    },
    [Symbol.asyncDispose]: async () => {
      ended = true;
      await loop.catch(() => {});
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
