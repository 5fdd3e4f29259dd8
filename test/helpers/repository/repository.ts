/** Real repositories in temporary folders, with real backups in them, for tests of everything above the storage. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CompressionConfig, EncryptionConfig } from '../../../src/config/config.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { BackupWriter } from '../../../src/repository/packs/backup-writer.ts';
import { createRepository } from '../../../src/repository/create.ts';
import { newBackupId } from '../../../src/repository/manifests/ids.ts';
import type { Manifest } from '../../../src/repository/manifests/manifest.ts';
import { openRepository, type Repository } from '../../../src/repository/repository.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import type { Artifact } from '../../../src/source/source.ts';

/** `raw` etc. as in the environment; everything absent: encryption on without a key. */
export function encryption(given: {
  enabled?: boolean;
  key?: string;
  passphrase?: string;
  identity?: string;
  recipients?: string[];
  trustedKeys?: string[];
}): EncryptionConfig {
  const secret = (text: string | undefined): Secret | undefined => (text === undefined ? undefined : new Secret(text));
  return {
    enabled: given.enabled ?? true,
    key: secret(given.key),
    passphrase: secret(given.passphrase),
    identity: secret(given.identity),
    recipients: given.recipients ?? [],
    trustedKeys: given.trustedKeys ?? [],
  };
}

export interface TestRepository extends Disposable {
  readonly folder: string;
  /** The repository's own folder. */
  readonly root: string;
  /** Another host: a state folder of its own. */
  stateDir(host: string): string;
  create(config: EncryptionConfig, host?: string): Promise<Repository>;
  open(config: EncryptionConfig, host?: string): Promise<Repository>;
}

export function testRepository(): TestRepository {
  const folder = mkdtempSync(join(tmpdir(), 'repository-'));
  const root = join(folder, 'repository');
  const stateDir = (host: string): string => join(folder, `state-${host}`);
  return {
    folder,
    root,
    stateDir,
    create: async (config, host = 'a') =>
      (await createRepository(openLocalStorage(root, { create: true }), config, stateDir(host))).repository,
    open: (config, host = 'a') => openRepository(openLocalStorage(root), config, stateDir(host)),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export interface BackUpOptions {
  readonly target?: string;
  readonly at?: Date;
  readonly compression?: CompressionConfig;
  readonly facts?: Readonly<Record<string, string>>;
}

/** One whole backup by the real writer: packs, indexes, facts, key copy, manifest. */
export async function backUp(
  repository: Repository,
  artifacts: readonly Artifact[],
  options: BackUpOptions = {},
): Promise<Manifest> {
  const { target = 'main', at = new Date() } = options;
  const key = await repository.writeKey();
  const id = newBackupId(target, 'files', at);
  const writer = new BackupWriter({
    storage: repository.storage,
    repositoryId: repository.repositoryId,
    backupId: id,
    dataKey: key.dataKey,
    compression: options.compression ?? { method: 'none', level: 0 },
    hangTimeoutMs: 60_000,
    maxStoredBytes: undefined,
    parent: undefined,
    compressors: 2,
    context: { signal: new AbortController().signal, emit: () => {} },
  });
  try {
    const stored = await Promise.all(artifacts.map((artifact) => writer.store('files', artifact)));
    const sums = await writer.finish(options.facts ?? { of: id });
    if (key.dataKey !== undefined) await repository.copyKeyFile(id, key.dataKey.id.toString('hex'));
    const time = at.toISOString();
    const component = {
      name: 'files',
      kind: 'files' as const,
      startedAt: time,
      finishedAt: time,
      ...writer.totals('files'),
      artifacts: stored,
    };
    const { manifest } = await repository.publishManifest(
      {
        id,
        target,
        type: 'files',
        host: 'test',
        versions: { lifeboat: '0.0.0' },
        startedAt: time,
        finishedAt: time,
        warnings: 0,
        ...sums,
        components: [component],
      },
      key,
    );
    return manifest;
  } finally {
    await writer.close();
  }
}

export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}
