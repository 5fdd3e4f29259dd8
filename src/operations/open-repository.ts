/** Opens what an operation works on: the configured storage and the repository in it, closed again whatever happens. */
import type { LoadedConfig } from '../config/load.ts';
import type { RepositoryLocation } from '../config/config.ts';
import { repositoryPlace } from '../config/repository-place.ts';
import { LifeboatError } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { fileError, stateFolderHint } from '../lib/file-errors.ts';
import { openLeftovers } from '../lib/leftovers.ts';
import { asOf } from '../repository/as-of.ts';
import { openRepository, type Repository } from '../repository/repository.ts';
import { retaining } from '../repository/retained-storage.ts';
import { openStorage, type OpenStorageOptions } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';

/** The configured location. Throws LifeboatError `usage` when none is. */
export function repositoryLocation({ config }: LoadedConfig): RepositoryLocation {
  if (config.repository !== undefined) return config.repository;
  throw new LifeboatError('usage', 'no repository is configured', {
    hint: 'set BACKUP_REPOSITORY=file:///path, s3://bucket/prefix or sftp://user@host/path, or run: lifeboat init',
  });
}

/** How the storage is opened where it matters; see OpenStorageOptions. */
export type Opening = Pick<OpenStorageOptions, 'create' | 'retryBudgetMs'>;

/** Runs `work` with the configured storage. */
export async function withStorage<T>(
  loaded: LoadedConfig,
  context: RunContext,
  work: (storage: Storage) => Promise<T>,
  opening: Opening = {},
): Promise<T> {
  const onRetry = (message: string): void => context.emit({ type: 'step', message });
  const onFallback = (message: string): void => context.emit({ type: 'warning', message });
  const storage = await openStorage(repositoryLocation(loaded), {
    ...opening,
    signal: context.signal,
    onRetry,
    onFallback,
  });
  try {
    return await work(retaining(storage, repositoryLocation(loaded)));
  } finally {
    await storage.close();
  }
}

/** Runs `work` with the configured repository. */
export async function withRepository<T>(
  loaded: LoadedConfig,
  context: RunContext,
  work: (repository: Repository) => Promise<T>,
  opening?: Opening,
): Promise<T> {
  const { encryption, stateDir } = loaded.config;
  return withStorage(
    loaded,
    context,
    async (storage) =>
      work(await openRepository(storage, encryption, stateDir, repositoryPlace(repositoryLocation(loaded)))),
    opening,
  );
}

/** The same for operations that only read it: as it was at the moment that --as-of names, if it does. */
export async function withReadRepository<T>(
  loaded: LoadedConfig,
  context: RunContext,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  const { asOfMs, config } = loaded;
  if (asOfMs === undefined) return withRepository(loaded, context, work);
  return withStorage(loaded, context, async (storage) =>
    work(await openRepository(asOf(storage, asOfMs), config.encryption, config.stateDir)),
  );
}

/**
 * Ends what killed runs of this host have left, and tells it. For operations that make scratch files or children.
 * Throws LifeboatError `usage` (2) or `space` (15) where the state folder cannot be used.
 */
export function collectLeftovers({ config }: LoadedConfig, context: RunContext): void {
  for (const what of usingStateFolder(config.stateDir, () => openLeftovers(config.stateDir))) {
    context.emit({ type: 'step', message: `removed what a killed run had left: ${what}` });
  }
}

function usingStateFolder<T>(stateDir: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileError(error, `cannot use the state folder ${stateDir}`, {
      state: 'nothing was changed',
      hint: stateFolderHint,
    });
  }
}
