/**
 * A small repository with every kind of object and two different backups, ways to damage each object, and
 * what must hold for each: a restore refuses, or yields what the source held when the backup was taken;
 * nothing is left that looks complete and is not.
 */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { LifeboatError, openLifeboat, type Lifeboat } from '../../../src/index.ts';
import { namesBelow, testKey } from '../cli/command-run.ts';
import { compareTrees, readTree } from '../source/file-tree.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { digestOf, fillMany, startRedis, type TestRedis } from '../servers/redis.ts';

/** What the sources held when a backup was taken. */
interface Moment {
  readonly id: string;
  readonly rows: unknown;
  readonly digest: string;
  readonly tree: ReturnType<typeof readTree>;
}

export interface Damage {
  /** In words, such as "bit 3 of byte 70 flipped". */
  readonly what: string;
  /** The damaged bytes; undefined: the object is gone. */
  apply(whole: Buffer): Buffer | undefined;
}

export interface DamageBench extends AsyncDisposable {
  readonly moments: readonly [Moment, Moment];
  /** Keys of all objects that a restore may read: not leases, rescue files and the audit log. */
  objects(): string[];
  read(key: string): Buffer;
  /** Objects of the same kind as `key`, other than it. */
  siblings(key: string): string[];
  /**
   * Damages one object, restores the backups that it may concern, judges, and repairs it. Resolves to what each restore
   * said: "equal" or an error code.
   */
  judge(key: string, damage: Damage): Promise<string[]>;
}

export async function makeDamageBench(): Promise<DamageBench> {
  const folder = mkdtempSync(join(tmpdir(), 'damage-'));
  const [postgres, redis, other] = await Promise.all([startPostgres(), startRedis(), startRedis()]);
  const places = {
    folder,
    postgres,
    redis,
    other,
    files: join(folder, 'files'),
    to: join(folder, 'back'),
    repository: join(folder, 'repository'),
  };
  await fillSources(places);
  const lifeboat = await openLifeboat({
    config: {
      repository: `file://${places.repository}`,
      encryption: { key: testKey },
      targets: {
        main: {
          postgres: { url: postgres.url('shop'), databases: ['shop'] },
          redis: { url: redis.url() },
          files: { paths: [places.files] },
        },
      },
    },
    env: {},
    cwd: folder,
    stateDir: join(folder, 'state'),
    confirm: async () => {},
  });
  await lifeboat.init();
  const first = await takeMoment(places, lifeboat);
  await changeSources(places);
  const second = await takeMoment(places, lifeboat);
  cpSync(places.repository, join(folder, 'pristine'), { recursive: true });
  const moments = [first, second] as const;
  const objects = (): string[] =>
    namesBelow(join(folder, 'pristine'))
      .filter((key) => !/^(locks|rescue|audit)\//.test(key))
      .sort();
  return {
    moments,
    objects,
    read: (key) => readFileSync(join(folder, 'pristine', key)),
    siblings: (key) => objects().filter((each) => each !== key && kindOf(each) === kindOf(key)),
    judge: async (key, damage) => {
      const whole = readFileSync(join(folder, 'pristine', key));
      const damaged = damage.apply(whole);
      const path = join(places.repository, key);
      if (damaged === undefined) unlinkSync(path);
      else writeFileSync(path, damaged);
      try {
        const said: string[] = [];
        for (const moment of moments) {
          if (mayConcern(key, moment.id)) {
            said.push(await restoreAndJudge(places, lifeboat, moment, concerned(key), `${key}: ${damage.what}`));
          }
        }
        return said;
      } finally {
        copyFileSync(join(folder, 'pristine', key), path);
      }
    },
    [Symbol.asyncDispose]: async () => {
      await lifeboat.close();
      await Promise.all([postgres.stop(), redis.stop(), other.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Places {
  readonly folder: string;
  readonly postgres: TestPostgres;
  readonly redis: TestRedis;
  readonly other: TestRedis;
  readonly files: string;
  readonly to: string;
  readonly repository: string;
}

async function fillSources({ postgres, redis, files }: Places): Promise<void> {
  await postgres.query('postgres', 'CREATE DATABASE shop');
  await postgres.psql(
    'shop',
    'CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item SELECT n, md5(n::text) FROM ' +
      'generate_series(1, 3000) n; CREATE INDEX ON item (name); CREATE VIEW v AS SELECT count(*) FROM item',
  );
  fillMany(redis, 300);
  mkdirSync(files);
  for (let n = 0; n < 5; n++) writeFileSync(join(files, `file-${n}`), `content of ${n}\n`.repeat(1000 * n));
}

async function changeSources({ postgres, redis, files }: Places): Promise<void> {
  await postgres.psql(
    'shop',
    `UPDATE item SET name = name || '!' WHERE id % 7 = 0; CREATE TABLE more AS SELECT 1 AS one`,
  );
  redis.cli(['SET', 'key:1', 'changed']);
  writeFileSync(join(files, 'file-1'), 'changed');
}

async function takeMoment(places: Places, lifeboat: Lifeboat): Promise<Moment> {
  const result = await lifeboat.backup();
  assert.ok(result.outcome === 'done');
  return {
    id: result.id,
    rows: await rowsOf(places.postgres, 'shop'),
    digest: digestOf(places.redis),
    tree: readTree(places.files),
  };
}

/** Everything of one backup, each part on its own: one that is refused must not hide another. */
async function restoreAndJudge(
  places: Places,
  lifeboat: Lifeboat,
  moment: Moment,
  parts: readonly Part[],
  what: string,
): Promise<string> {
  await clear(places);
  const said: Partial<Record<Part, string>> = {};
  for (const only of parts) {
    said[only] = await outcomeOf(
      lifeboat.restore({
        id: moment.id,
        only: [only],
        postgres: { toDatabase: 'back' },
        redis: { toUrl: places.other.url(), method: 'commands' },
        files: { toDir: places.to },
      }),
      what,
    );
  }
  const { files, redis, database } = said;
  const databases = (
    await places.postgres.query(
      'postgres',
      `SELECT datname AS name FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1', 'shop')`,
    )
  ).map(({ name }) => name);
  assert.deepEqual(databases, database === 'equal' ? ['back'] : [], `${what}: databases after "${database}"`);
  if (database === 'equal') {
    assert.deepEqual(await rowsOf(places.postgres, 'back'), moment.rows, `${what}: another database`);
  }
  assert.equal(
    digestOf(places.other),
    redis === 'equal' ? moment.digest : '0'.repeat(40),
    `${what}: Redis after "${redis}"`,
  );
  const tree = namesBelow(places.to);
  if (files === 'equal') {
    assert.deepEqual(
      compareTrees(moment.tree, readTree(join(places.to, places.files)), { mtimeToleranceNs: 1000n }),
      [],
      `${what}: other files`,
    );
  } else assert.deepEqual(tree, [], `${what}: files after "${files}"`);
  return [...new Set(Object.values(said))].sort().join('+');
}

async function outcomeOf(restoring: Promise<unknown>, what: string): Promise<string> {
  try {
    await restoring;
    return 'equal';
  } catch (error) {
    assert.ok(
      error instanceof LifeboatError,
      `${what}: not an operator's error: ${error instanceof Error ? error.stack : String(error)}`,
    );
    assert.ok(['integrity', 'key', 'not_found'].includes(error.code), `${what}: ${error.code}: ${error.message}`);
    return error.code;
  }
}

async function clear({ postgres, other, to }: Places): Promise<void> {
  await postgres.query('postgres', 'DROP DATABASE IF EXISTS back');
  other.cli(['FLUSHALL']);
  rmSync(to, { recursive: true, force: true });
}

async function rowsOf(server: TestPostgres, database: string): Promise<unknown> {
  const tables = await server.query(
    database,
    "SELECT string_agg(relname, ',' ORDER BY relname) AS names FROM pg_class WHERE relnamespace = " +
      "'public'::regnamespace",
  );
  return [
    tables,
    await server.query(database, `SELECT count(*), sum(hashtextextended(item::text, 0)) AS sum FROM item`),
  ];
}

/** Objects of one backup concern it alone; packs and keys may concern both. */
function mayConcern(key: string, backupId: string): boolean {
  const owner = /^(?:backups\/([^/]+)\/|manifests\/(.+)\.json$)/.exec(key);
  return owner === null || owner[1] === backupId || owner[2] === backupId;
}

type Part = 'files' | 'redis' | 'database';

/** The index of one artifact is read for its component only; all else may matter to each. */
function concerned(key: string): readonly Part[] {
  const artifact = /^backups\/[^/]+\/(.+)\.\d+\.index$/.exec(key)?.[1];
  if (artifact === undefined) return ['files', 'redis', 'database'];
  return artifact.endsWith('.rdb') ? ['redis'] : /\.(dump|sql)$/.test(artifact) ? ['database'] : ['files'];
}

/** Objects that could be taken for each other. */
export function kindOf(key: string): string {
  if (key.startsWith('backups/')) return basename(key).endsWith('.index') ? 'index' : basename(key);
  return key.split('/')[0] ?? '';
}
