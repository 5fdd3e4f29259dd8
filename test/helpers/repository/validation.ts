/** A repository of real backups that tests damage, and what validate and integrity say of it. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';
import type { LifeboatEvent, RunContext } from '../../../src/lib/events.ts';
import { openArtifacts } from '../../../src/repository/packs/artifact-reader.ts';
import { BackupWriter } from '../../../src/repository/packs/backup-writer.ts';
import { readFacts } from '../../../src/repository/backups/facts.ts';
import { newBackupId } from '../../../src/repository/manifests/ids.ts';
import type { Manifest } from '../../../src/repository/manifests/manifest.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { backup } from '../../../src/operations/backup/backup.ts';
import { init } from '../../../src/operations/setup/init.ts';
import { accountRepository } from '../../../src/operations/integrity/integrity.ts';
import { withRepository } from '../../../src/operations/open-repository.ts';
import type { RepositoryAccount } from '../../../src/operations/integrity/request.ts';
import type { ValidateRequest, ValidateResult } from '../../../src/operations/validate/request.ts';
import { validate } from '../../../src/operations/validate/validate.ts';
import { readAll, streamArtifact } from './chunk-repository.ts';

export interface DamagedRepository extends Disposable {
  readonly work: string;
  /** The repository's own folder. */
  readonly root: string;
  readonly context: RunContext & { readonly events: LifeboatEvent[] };
  readonly loaded: LoadedConfig;
  backup(target?: string): Promise<string>;
  validate(request?: Partial<ValidateRequest>): Promise<ValidateResult>;
  /** `trashMs`: instead of the configured one. */
  integrity(trashMs?: number): Promise<RepositoryAccount>;
  use<T>(work: (repository: Repository) => Promise<T>): Promise<T>;
  /** "<backup>:<artifact>" of everything that cannot be read to its end, found by reading it. */
  unreadable(): Promise<Set<string>>;
  /** Puts the repository back to what it was when this was called. */
  keep(): Promise<() => Promise<void>>;
}

/** Makes the repository. `targets`: by name, as in a configuration file; default: main and other, trees of files. */
export async function damagedRepository(
  targets?: Readonly<Record<string, object>>,
  encrypted = true,
): Promise<DamagedRepository> {
  const work = mkdtempSync(join(tmpdir(), 'validate-'));
  const root = join(work, 'repository');
  for (const name of ['main', 'other']) {
    mkdirSync(join(work, name));
    for (const file of ['one', 'two', 'three']) writeFileSync(join(work, name, file), randomBytes(2_500_000));
  }
  const trees = {
    main: { files: { paths: [join(work, 'main')] } },
    other: { files: { paths: [join(work, 'other')] } },
  };
  const document = {
    repository: `file://${root}`,
    encryption: encrypted ? { key: 'c3'.repeat(32) } : { enabled: false },
    stateDir: join(work, 'state'),
    targets: targets ?? trees,
  };
  const loaded = await loadConfig({ cwd: work, env: {}, document });
  const events: LifeboatEvent[] = [];
  const context = {
    signal: new AbortController().signal,
    emit: (event: LifeboatEvent) => void events.push(event),
    events,
  };
  await init(loaded, { configPath: undefined }, context);
  const use = async <T>(act: (repository: Repository) => Promise<T>): Promise<T> =>
    withRepository(loaded, context, act);
  return {
    work,
    root,
    context,
    loaded,
    use,
    backup: async (target = Object.keys(targets ?? trees)[0]) => {
      const result = await backup(
        loaded,
        { target, components: [], tags: [], ifRunning: { action: 'fail' }, dryRun: false },
        context,
      );
      if (result.outcome !== 'done') throw new Error(result.outcome);
      return result.id;
    },
    validate: async (request = {}) => validate(loaded, { ids: [], all: true, level: 'stored', ...request }, context),
    integrity: async (trashMs = loaded.config.trashMs) =>
      accountRepository({ ...loaded, config: { ...loaded.config, trashMs } }, { logPercent: 100 }, context),
    unreadable: async () => use(unreadableIn),
    keep: async () => {
      const copy = join(work, 'kept');
      await cp(root, copy, { recursive: true });
      return async () => {
        for (const name of await readdir(root)) await rm(join(root, name), { recursive: true });
        await cp(copy, root, { recursive: true });
      };
    },
    [Symbol.dispose]: () => rmSync(work, { recursive: true, force: true }),
  };
}

async function unreadableIn(repository: Repository): Promise<Set<string>> {
  const bad = new Set<string>();
  for await (const { id, manifest } of repository.listManifests()) {
    if (manifest === undefined) continue;
    const dataKey = await repository.dataKeyOf(manifest);
    for (const { artifacts } of manifest.components) {
      const reader = openArtifacts({ storage: repository.storage, dataKey, artifacts });
      for (const { name } of artifacts) await readAll(reader.open(name)).catch(() => bad.add(`${id}:${name}`));
    }
  }
  return bad;
}

/**
 * A new backup that differs from `id` in the artifacts that `alter` changes; its facts are those of `id`. All of it is
 * authentic.
 */
export async function storeAltered(
  repository: Repository,
  id: string,
  alter: (name: string, bytes: Buffer) => Buffer,
): Promise<Manifest> {
  const { manifest } = await repository.readManifest(id);
  if (manifest === undefined) throw new Error(`${id} is damaged`);
  const old = await repository.dataKeyOf(manifest);
  const key = await repository.writeKey();
  const at = new Date(Date.parse(manifest.startedAt) + 60_000);
  const backupId = newBackupId(manifest.target, manifest.type, at);
  const context = { signal: new AbortController().signal, emit: () => {} };
  const options = {
    storage: repository.storage,
    repositoryId: repository.repositoryId,
    backupId,
    dataKey: key.dataKey,
    compression: { method: 'none', level: 0 } as const,
  };
  const writer = new BackupWriter({
    ...options,
    hangTimeoutMs: 60_000,
    maxStoredBytes: undefined,
    parent: undefined,
    compressors: 2,
    context,
  });
  try {
    const components: Manifest['components'] = [];
    for (const component of manifest.components) {
      const reader = openArtifacts({ storage: repository.storage, dataKey: old, artifacts: component.artifacts });
      const artifacts: Manifest['components'][number]['artifacts'] = [];
      for (const { name, mediaType } of component.artifacts) {
        artifacts.push(
          await writer.store(component.name, {
            ...streamArtifact(name, [alter(name, await readAll(reader.open(name)))]),
            mediaType,
          }),
        );
      }
      components.push({ ...component, artifacts });
    }
    const sums = await writer.finish(await readFacts(repository, manifest));
    if (key.dataKey !== undefined) await repository.copyKeyFile(backupId, key.dataKey.id.toString('hex'));
    const { format: _format, repository: _repository, dataKey: _dataKey, previous: _previous, ...rest } = manifest;
    return (
      await repository.publishManifest(
        { ...rest, ...sums, id: backupId, startedAt: at.toISOString(), finishedAt: at.toISOString(), components },
        key,
      )
    ).manifest;
  } finally {
    await writer.close();
  }
}
