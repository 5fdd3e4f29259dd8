/** Removes objects of a repository, as the holder of the `cleanup` lease; without one it removes nothing. */
import type { RetainedObject, Storage } from '../../storage/storage.ts';
import type { Lease } from '../leases/lease.ts';
import { parseWalKey } from '../wal/names.ts';
import type { WalRemover } from './wal.ts';

const batch = 500;

/** Removes objects in batches, old versions too where they are kept; the lease is looked at before each. */
export class Remover implements WalRemover {
  readonly retained: RetainedObject[] = [];
  retainedBytes = 0;
  readonly #storage: Storage;
  readonly #lease: Lease | undefined;
  readonly #signal: AbortSignal;
  #sizes = new Map<string, number>();
  #finished = { retained: 0, bytes: 0 };

  constructor(storage: Storage, lease: Lease | undefined, signal: AbortSignal) {
    this.#storage = storage;
    this.#lease = lease;
    this.#signal = signal;
  }

  /** `bytes`: where it counts as freed. */
  async add(key: string, bytes = 0): Promise<void> {
    if (this.#lease === undefined) return;
    this.#sizes.set(key, bytes);
    if (this.#sizes.size >= batch) await this.flush();
  }

  async flush(): Promise<void> {
    const sizes = this.#sizes;
    this.#sizes = new Map();
    if (sizes.size === 0) return;
    await this.#ready();
    const keys = [...sizes.keys()];
    if (this.#storage.removeVersions === undefined) return this.#storage.remove(keys);
    for (const each of await this.#storage.removeVersions(keys)) {
      this.retained.push(each);
      this.retainedBytes += sizes.get(each.key) ?? 0;
    }
  }

  async finish(): Promise<{ readonly segments: number; readonly bytes: number }> {
    await this.flush();
    const since = this.retained.slice(this.#finished.retained);
    const bytes = this.retainedBytes - this.#finished.bytes;
    this.#finished = { retained: this.retained.length, bytes: this.retainedBytes };
    return { segments: since.filter(({ key }) => parseWalKey(key)?.file.kind === 'segment').length, bytes };
  }

  /** Old versions of what was removed before, which only a marker hides. */
  async removeHidden(keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length && this.#storage.removeVersions !== undefined; from += batch) {
      await this.#ready();
      this.retained.push(...(await this.#storage.removeVersions(keys.slice(from, from + batch), { hiddenOnly: true })));
    }
  }

  async #ready(): Promise<void> {
    this.#signal.throwIfAborted();
    await this.#lease?.check();
  }
}
