/**
 * A repository with real backups of a small folder, made through the library; what cleanups of it are to be held
 * against.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadedConfig } from '../../../src/config/load.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { RetentionPolicy } from '../../../src/config/config.ts';
import type { LifeboatEvent } from '../../../src/lib/events.ts';
import { backup } from '../../../src/operations/backup/backup.ts';
import { cleanRepository, type CleanupInternals } from '../../../src/operations/cleanup/cleanup.ts';
import { init } from '../../../src/operations/setup/init.ts';
import type { BackupResult } from '../../../src/operations/backup/request.ts';
import type { CleanupRequest, CleanupResult } from '../../../src/operations/cleanup/request.ts';
import { compactUtc } from '../../../src/lib/time.ts';
import { trashRecordOf } from '../../../src/repository/deletion/trash-records.ts';
import { openRecord, sealRecord } from '../../../src/repository/keys/sealed-records.ts';
import { openArtifacts } from '../../../src/repository/packs/artifact-reader.ts';
import { openRepository, type Repository } from '../../../src/repository/repository.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import type { Storage } from '../../../src/storage/storage.ts';

export type DoneBackup = Extract<BackupResult, { outcome: 'done' }>;

export interface CleanupHome extends Disposable {
  readonly folder: string;
  /** The repository's own folder. */
  readonly root: string;
  /** Changes one of the files and leaves the others as they are. */
  change(n?: number): void;
  backup(tags?: readonly string[]): Promise<DoneBackup>;
  open(storage?: Storage): Promise<Repository>;
  cleanup(request?: Partial<CleanupRequest>, internals?: CleanupInternals, storage?: Storage): Promise<CleanupResult>;
  /** Every object of the repository looks so much older, and what was moved to trash was moved so much earlier. */
  age(ms: number): Promise<void>;
  /** Keys of all objects but leases, sorted. */
  keys(): string[];
  /** Of listed backups, oldest first. */
  ids(): Promise<string[]>;
  /** Reads every listed backup to its end, each chunk checked against its id; resolves to how many there are. */
  readAll(): Promise<number>;
}

export const dayMs = 86_400_000;
/** Chunks are about 1 MiB, so each file is one or two, and each change a pack of its own. */
const fileBytes = 700_000;
const files = 4;

export function keepLast(
  count: number,
  more: Partial<RetentionPolicy> = {},
): NonNullable<CleanupInternals['policies']> {
  const policy: RetentionPolicy = {
    days: undefined,
    keepLast: count,
    keepHourly: undefined,
    keepDaily: undefined,
    keepWeekly: undefined,
    keepMonthly: undefined,
    keepYearly: undefined,
    keepWithinMs: undefined,
    minBackups: 1,
    ...more,
  };
  return new Map([['main', { database: policy, redis: policy, files: policy }]]);
}

export function makeHome(folder = mkdtempSync(join(tmpdir(), 'cleanup-'))): CleanupHome {
  const root = join(folder, 'repository');
  const data = join(folder, 'data');
  const change = (n = 0): void => writeFileSync(join(data, `file-${n % files}`), randomBytes(fileBytes));
  if (!existsSync(data)) {
    mkdirSync(data);
    for (let n = 0; n < files; n++) change(n);
  }
  const open = async (storage: Storage = openLocalStorage(root)): Promise<Repository> => {
    const { config } = await configOf(folder);
    return openRepository(storage, config.encryption, config.stateDir);
  };
  const home: CleanupHome = {
    folder,
    root,
    change,
    backup: async (tags = []) => backUpOnce(await configOf(folder), tags),
    open,
    cleanup: async (request = {}, internals = {}, storage) =>
      cleanRepository(
        await open(storage),
        { dryRun: false, acknowledge: [], adoptTrash: [], maxDelete: 1000, ...request },
        quiet(),
        { policies: keepLast(1), ...internals },
      ),
    age: async (ms) => {
      await ageTrash(await open(), ms);
      for (const key of namesIn(root)) {
        const path = join(root, key);
        const at = new Date(Date.now() - ms);
        utimesSync(path, at, at);
      }
    },
    keys: () => namesIn(root).filter((key) => !key.startsWith('locks/')),
    ids: async () => {
      // Those of one second have no order by their names.
      const found: { id: string; at: string }[] = [];
      for await (const { id, manifest } of (await open()).listManifests()) {
        found.push({ id, at: manifest?.startedAt ?? '' });
      }
      return found.toSorted((a, b) => (a.at < b.at ? -1 : 1)).map(({ id }) => id);
    },
    readAll: async () => readEveryBackup(await open()),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
  return home;
}

/** A home with an empty repository. */
export async function newHome(): Promise<CleanupHome> {
  const home = makeHome();
  await init(await configOf(home.folder), { configPath: undefined }, quiet());
  return home;
}

/** The same home once more, in a folder of its own. */
export function copyHome(home: CleanupHome): CleanupHome {
  const folder = mkdtempSync(join(tmpdir(), 'cleanup-'));
  cpSync(home.folder, folder, { recursive: true, preserveTimestamps: true });
  return makeHome(folder);
}

export async function backUpOnce(
  loaded: LoadedConfig,
  tags: readonly string[] = [],
  emit: (event: LifeboatEvent) => void = () => {},
): Promise<DoneBackup> {
  const result = await backup(
    loaded,
    { components: [], tags, ifRunning: { action: 'fail' }, dryRun: false },
    { signal: new AbortController().signal, emit },
  );
  assert.ok(result.outcome === 'done');
  return result;
}

export async function configOf(folder: string): Promise<LoadedConfig> {
  return loadConfig({
    cwd: folder,
    env: {},
    need: { repository: true, encryption: true, targets: 'all' },
    document: {
      repository: `file://${join(folder, 'repository')}`,
      encryption: { key: 'ab'.repeat(32) },
      compression: { method: 'none' },
      stateDir: join(folder, 'state'),
      targets: { main: { files: { paths: [join(folder, 'data')] } } },
    },
  });
}

/** What only who has the key can do: records of moves, written anew with earlier times. */
async function ageTrash(repository: Repository, ms: number): Promise<void> {
  const { storage, keyring } = repository;
  for await (const { key } of storage.list('notes/')) {
    if (trashRecordOf(key) === undefined) continue;
    const { members } = await openRecord(await storage.get(key), key, keyring);
    const at = new Date(Date.parse(String(members['at'])) - ms);
    const object = key.replace(/[^/]{16}(?=-[0-9a-f]{4}-(?:moved|back)\.json$)/, compactUtc(at));
    const { format: _, object: __, dataKey, ...rest } = members;
    const sealing = { dataKey: await keyring?.open(String(dataKey)), signer: await keyring?.signer() };
    await storage.remove([key]);
    await storage.put(object, [sealRecord(object, { ...rest, at: at.toISOString() }, sealing)]);
  }
}

export async function readEveryBackup(repository: Repository): Promise<number> {
  let count = 0;
  for await (const { object, manifest, trust, reason } of repository.listManifests()) {
    assert.equal(trust, 'sealed', `${object}: ${reason}`);
    assert.ok(manifest !== undefined);
    const artifacts = manifest.components.flatMap((component) => component.artifacts);
    const reader = openArtifacts({
      storage: repository.storage,
      dataKey: await repository.dataKeyOf(manifest),
      artifacts,
    });
    for (const { name, bytes } of artifacts) {
      let read = 0;
      for await (const part of reader.open(name)) read += part.length;
      assert.equal(read, bytes, `${name} of ${manifest.id}`);
    }
    count++;
  }
  return count;
}

export function quiet(): { signal: AbortSignal; emit: () => void } {
  return { signal: new AbortController().signal, emit: () => {} };
}

function namesIn(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}
