/** Names that a shell completes: in a moment or not at all, and only such as need no quotes. */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import { withStorage } from '../open-repository.ts';
import type { Operation } from '../operation.ts';

export const nameKinds = ['backups', 'schedules', 'targets', 'channels'] as const;
export type NameKind = (typeof nameKinds)[number];

export interface NamesRequest {
  readonly kind: NameKind;
}

export interface NamesResult {
  /** Of backups the newest first. */
  readonly names: readonly string[];
}

/** A person waits for it with a finger on the key. */
const patienceMs = 1500;
const mostBackups = 500;
const plain = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

export const namesOperation: Operation<NamesRequest, NamesRequest, NamesResult> = {
  need: ({ kind }) => (kind === 'backups' ? { repository: true } : {}),
  complete: (options) => options,
  run: namesOf,
};

/** Throws what the storage throws, also where that takes too long. */
export async function namesOf(loaded: LoadedConfig, { kind }: NamesRequest, context: RunContext): Promise<NamesResult> {
  const { config } = loaded;
  const names = {
    backups: async () => backupIds(loaded, context),
    schedules: () => config.schedules.map(({ id }) => id),
    targets: () => [...config.targets.keys()],
    channels: () => [...config.notifications.channels.keys()],
  };
  return { names: (await names[kind]()).filter((name) => plain.test(name)) };
}

/** By the names of their manifests: nothing is opened, so no key is needed. */
async function backupIds(loaded: LoadedConfig, { signal, emit }: RunContext): Promise<string[]> {
  const limited = { signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]), emit };
  return withStorage(
    loaded,
    limited,
    async (storage) => {
      let ids: string[] = [];
      for await (const { key } of storage.list('manifests/')) {
        const [, id] = /^manifests\/([^/]+)\.json$/.exec(key) ?? [];
        if (id !== undefined) ids.push(id);
        if (ids.length > 2 * mostBackups) ids = ids.slice(-mostBackups);
        limited.signal.throwIfAborted();
      }
      return ids.slice(-mostBackups).toReversed();
    },
    { retryBudgetMs: 0 },
  );
}
