/**
 * PostgreSQL, Redis and files: backed up by the program, destroyed, restored, and compared with what they held; each
 * component and part alone; exported for other programs.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openLifeboat, type OpenOptions } from '../../src/index.ts';
import { runTool } from '../../src/lib/exec.ts';
import type { RestoreResult } from '../../src/operations/restore/request.ts';
import type { KeysGenerateResult } from '../../src/operations/setup/request.ts';
import { assertFailed, makeBench, namesBelow, type Bench } from '../helpers/cli/command-run.ts';
import { assertSameText, comparableDump } from '../helpers/source/dump-text.ts';
import { compareTrees, makeSampleTree, readTree } from '../helpers/source/file-tree.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { digestOf, fillSample, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { startS3Server, type TestS3Server } from '../helpers/servers/rgw.ts';
import { createEncodedDatabase, createSampleDatabase, startWriter } from '../helpers/source/sample-database.ts';

const toMicroseconds = { mtimeToleranceNs: 1000n };

let postgres: TestPostgres;
/** Where everything is restored to: another server, on which only the roles are there. */
let target: TestPostgres;
let redis: TestRedis;
let other: TestRedis;
let s3: TestS3Server;
let bench: Bench;
let files: string;

before(async () => {
  [postgres, target, redis, other, s3] = await Promise.all([
    startPostgres(),
    startPostgres(),
    startRedis(),
    startRedis(),
    startS3Server(),
  ]);
  await createSampleDatabase(postgres, 'sample', { sizeBytes: 8_000_000 });
  await fillSample(redis);
  bench = makeBench({
    DATABASE_URL: postgres.url('sample'),
    REDIS_URL: redis.url(),
    OTHER_POSTGRES: target.url(),
    OTHER_REDIS: other.url(),
  });
  files = join(bench.folder, 'files');
  makeSampleTree(files);
  bench.env = { ...bench.env, BACKUP_FILES: files };
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.stop(), target?.stop(), redis?.stop(), other?.stop(), s3?.stop()]);
});

/**
 * The plain text of a database. pg_dump moves columns of inheritance children: app.stray is compared by its
 * fingerprint, which a restore does.
 */
async function textOf(server: TestPostgres, database: string, snapshot?: string): Promise<string> {
  const args = [
    '--restrict-key=test',
    '--exclude-table=app.stray',
    ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
    '-d',
    database,
  ];
  const { stdout } = await runTool({
    file: join(server.binDir, 'pg_dump'),
    args,
    env: { ...server.env, PGCLIENTENCODING: 'SQL_ASCII' },
  });
  return comparableDump(stdout);
}

async function emptyTargets(): Promise<void> {
  const names = await target.query(
    'postgres',
    "SELECT format('DROP DATABASE %I', datname) AS sql FROM pg_database WHERE datname NOT IN ('postgres', " +
      "'template0', 'template1')",
  );
  for (const { sql } of names) await target.query('postgres', sql ?? '');
  other.cli(['FLUSHALL']);
  other.cli(['FUNCTION', 'FLUSH']);
  rmSync(join(bench.folder, 'back'), { recursive: true, force: true });
}

/** One run from init to equality. The snapshot is looked at while it lives, so the backup runs in this process. */
async function roundTrip(
  jobs: number,
  repository: OpenOptions['config'],
  encryption: Record<string, unknown>,
  name: string,
): Promise<void> {
  await emptyTargets();
  const config = {
    ...(repository as object),
    jobs,
    encryption,
    targets: {
      main: { postgres: { url: postgres.url('sample') }, redis: { url: redis.url() }, files: { paths: [files] } },
    },
  };
  await using lifeboat = await openLifeboat({
    config,
    env: {},
    cwd: bench.folder,
    stateDir: join(bench.folder, `state-${name}`),
  });
  await lifeboat.init();
  const texts: Promise<string>[] = [];
  using _ = lifeboat.on('snapshot', ({ database, snapshot }) => void texts.push(textOf(postgres, database, snapshot)));
  const writer = await startWriter(postgres, 'sample');
  let taken: Awaited<ReturnType<typeof lifeboat.backup>>;
  try {
    taken = await lifeboat.backup();
  } finally {
    await writer.stop();
  }
  assert.ok(taken.outcome === 'done');
  assert.deepEqual(taken.warnings, []);
  const [expected = ''] = await Promise.all(texts);
  const restored = await lifeboat.restore({
    id: taken.id,
    postgres: { toUrl: target.url(), globals: true },
    redis: { toUrl: other.url() },
    files: { toDir: join(bench.folder, 'back') },
  });
  assert.ok(restored.outcome === 'done');
  assert.deepEqual(
    restored.components
      .filter(({ kind }) => kind !== 'globals')
      .map(({ verified }) => verified === 'equal' || verified === 'partial'),
    [true, true, true],
  );
  assertSameText(await textOf(target, 'sample'), expected);
  assert.equal(digestOf(other), digestOf(redis));
  assert.deepEqual(functionsOf(other), functionsOf(redis));
  assert.deepEqual(compareTrees(readTree(files), readTree(join(bench.folder, 'back', files)), toMicroseconds), []);
}

describe('equal at the moment of the backup, while it is written to', () => {
  test('1 job, local, raw key', () =>
    roundTrip(1, { repository: `file://${bench.folder}/one` }, { key: 'cd'.repeat(32) }, 'one'));
  test('4 jobs, local, not encrypted', () =>
    roundTrip(4, { repository: `file://${bench.folder}/plain` }, { enabled: false }, 'plain'));
  test('4 jobs, S3, passphrase', async () => {
    const repository = {
      url: `s3://${await s3.makeBucket()}/x`,
      endpoint: s3.endpoint,
      region: 'us-east-1',
      pathStyle: true,
      accessKey: s3.accessKey,
      secretKey: s3.secretKey,
    };
    await roundTrip(4, { repository }, { passphrase: 'correct horse battery staple' }, 's3');
  });
});

describe('by the program', () => {
  let id: string;
  const to = (): string => join(bench.folder, 'back');

  test('init and backup; --dry-run changes nothing', async () => {
    await bench.json('init');
    const before = namesBelow(bench.repository);
    await bench.json('backup --dry-run');
    assert.deepEqual(namesBelow(bench.repository), before);
    ({ id } = await bench.backup());
    await emptyTargets();
    const planned = await bench.json<RestoreResult>(
      `restore ${id} --to-url-env OTHER_POSTGRES --only database --dry-run`,
    );
    assert.deepEqual([planned.outcome, (await databasesOf(target)).includes('sample')], ['planned', false]);
    await bench.nothingLeft();
  });

  for (const [component, line] of [
    ['database', '--to-url-env OTHER_POSTGRES'],
    ['redis', '--to-url-env OTHER_REDIS'],
    ['files', '--to-dir back'],
  ] as const) {
    test(`${component} alone: backed up and restored without the others`, async () => {
      await emptyTargets();
      const alone = await bench.backup(`backup ${component}`);
      assert.deepEqual(
        alone.components.map(({ name }) => name),
        [component],
      );
      const before = digestOf(other);
      const restored = await bench.restore(`restore ${id} --only ${component} ${line}`);
      assert.deepEqual(
        restored.components.map(({ name }) => name),
        [component],
      );
      if (component === 'database') assertSameText(await textOf(target, 'sample'), await textOf(postgres, 'sample'));
      if (component === 'redis') assert.equal(digestOf(other), digestOf(redis));
      else assert.equal(digestOf(other), before);
      if (component === 'files') {
        assert.deepEqual(compareTrees(readTree(files), readTree(join(to(), files)), toMicroseconds), []);
      } else assert.deepEqual(namesBelow(to()), []);
      assertFailed(
        await bench.run(`restore ${alone.id} --only ${component === 'files' ? 'redis' : 'files'}`),
        10,
        /has no (redis|files)/,
        new RegExp(component),
      );
    });
  }

  test('--tables, --schema-only', async () => {
    await emptyTargets();
    await bench.run(`restore ${id} --only database --to-url-env OTHER_POSTGRES --tables app.events --to-database part`);
    const count = `SELECT count(*) AS n, sum(hashtextextended(e::text, 0)) AS sum FROM app.events e`;
    assert.deepEqual(await target.query('part', count), await postgres.query('sample', count));
    assert.deepEqual(
      await target.query(
        'part',
        `SELECT relname FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'`,
      ),
      [{ relname: 'events' }],
    );
    await bench.run(`restore ${id} --only database --to-url-env OTHER_POSTGRES --schema-only --to-database shape`);
    assert.deepEqual(await target.query('shape', 'SELECT count(*)::text AS n FROM app.events'), [{ n: '0' }]);
    assert.deepEqual(
      await target.query('shape', 'SELECT count(*)::text AS n FROM pg_class'),
      await postgres.query('sample', 'SELECT count(*)::text AS n FROM pg_class'),
    );
  });

  test('--keys: only these, into a server that holds others', async () => {
    other.cli(['FLUSHALL']);
    other.cli(['SET', 'mine', 'kept']);
    await bench.restore(
      `restore ${id} --only redis --to-url-env OTHER_REDIS --keys hash:* --confirm 127.0.0.1:${other.port}`,
    );
    assert.deepEqual(other.cli(['KEYS', '*']).split('\n').sort(), ['hash:big', 'hash:small', 'mine']);
    assert.equal(other.cli(['DEBUG', 'DIGEST-VALUE', 'hash:big']), redis.cli(['DEBUG', 'DIGEST-VALUE', 'hash:big']));
    assert.equal(other.cli(['GET', 'mine']), 'kept');
  });

  test('--path: one file, one folder', async () => {
    rmSync(to(), { recursive: true, force: true });
    await bench.restore(`restore ${id} --only files --to-dir back --path ${files}/a/plain.txt --path ${files}/many`);
    assert.deepEqual(readdirSync(join(to(), files)).sort(), ['a', 'many']);
    assert.equal(readFileSync(join(to(), files, 'a/plain.txt'), 'utf8'), 'plain\n');
    assert.deepEqual(readdirSync(join(to(), files, 'many')).sort(), readdirSync(join(files, 'many')).sort());
  });

  test('export: pg_restore, redis-server, tar and sha256sum find all of it', async () => {
    await emptyTargets();
    const out = join(bench.folder, 'out');
    await bench.json(`export ${id} out`);
    execFileSync('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: out });
    await target.query('postgres', 'CREATE DATABASE sample TEMPLATE template0');
    for (const part of [
      '--section=pre-data schema.dump',
      '--section=data data.dump',
      '--section=post-data schema.dump',
    ]) {
      const [section = '', file = ''] = part.split(' ');
      await runTool({
        file: join(target.binDir, 'pg_restore'),
        args: [section, '-d', 'sample', join(out, file)],
        env: { ...target.env },
      });
    }
    assertSameText(await textOf(target, 'sample'), await textOf(postgres, 'sample'));
    const dir = join(bench.folder, 'redis-dir');
    mkdirSync(dir);
    writeFileSync(join(dir, 'dump.rdb'), readFileSync(join(out, 'dump.rdb')));
    const loaded = await startRedis({ dir });
    assert.equal(digestOf(loaded), digestOf(redis));
    await loaded.stop();
    const untarred = join(bench.folder, 'untarred');
    mkdirSync(untarred);
    execFileSync('tar', [
      '-x',
      '-p',
      '--numeric-owner',
      '--same-owner',
      '--delay-directory-restore',
      '-f',
      join(out, 'files.tar'),
      '-C',
      untarred,
    ]);
    assert.deepEqual(
      compareTrees(readTree(files), readTree(join(untarred, files)), { ...toMicroseconds, ignore: ['hasHoles'] }),
      [],
    );
    rmSync(dir, { recursive: true });
  });

  test('a write-only host with age recipients; the identity restores what it trusts, --force the rest', async () => {
    const { key: identity = '', recipient = '' } = await bench.json<KeysGenerateResult>('keys generate --kind age', {
      env: { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_ENCRYPTION_ENABLED: 'false' },
    });
    await using host = makeBench({ BACKUP_FILES: files, BACKUP_ENCRYPTION_RECIPIENTS: recipient });
    const writeOnly = { env: { BACKUP_ENCRYPTION_KEY: undefined } };
    const made = await host.json<{ publicKey?: string }>('init', writeOnly);
    const taken = await host.backup('backup', writeOnly);
    // The data key that it made for itself stays with it for a while; without that it can read nothing.
    const robbed = { env: { ...writeOnly.env, BACKUP_STATE_DIR: join(host.folder, 'empty-state') } };
    assertFailed(await host.run('restore latest --to-dir back', robbed), 12, /key/, /BACKUP_ENCRYPTION_IDENTITY|key/);
    const reader = {
      BACKUP_ENCRYPTION_KEY: undefined,
      BACKUP_ENCRYPTION_RECIPIENTS: undefined,
      BACKUP_ENCRYPTION_IDENTITY: identity,
      BACKUP_STATE_DIR: join(host.folder, 'other-host'),
    };
    const cwd = join(host.folder, 'elsewhere');
    mkdirSync(cwd);
    assertFailed(
      await host.run(`restore ${taken.id} --to-dir back`, { env: reader, cwd }),
      14,
      /cannot be trusted/,
      /--force|trustedKeys/,
    );
    assert.deepEqual(namesBelow(join(cwd, 'back')), []);
    const forced = await host.json<RestoreResult>(`restore ${taken.id} --to-dir back --force`, {
      env: reader,
      cwd,
      exitCode: 3,
    });
    assert.match(forced.warnings.join(), /--force/);
    assert.deepEqual(compareTrees(readTree(files), readTree(join(cwd, 'back', files)), toMicroseconds), []);
    const checked = await host.run('validate --all', { env: reader, cwd });
    assert.equal(checked.exitCode, 3);
    assert.match(checked.stdout, /nothing was checked/);
    const trusting = { ...reader, BACKUP_ENCRYPTION_TRUSTED_KEYS: made.publicKey };
    await host.restore('restore latest --to-dir by-name', { env: trusting, cwd });
    assert.match((await host.run('validate --all', { env: trusting, cwd })).stdout, /1 backup: every stored byte/);
    writeFileSync(join(cwd, 'lifeboat.config.json'), JSON.stringify({ encryption: { trustedKeys: [made.publicKey] } }));
    await host.restore('restore latest --to-dir again', { env: reader, cwd });
    assert.deepEqual(compareTrees(readTree(files), readTree(join(cwd, 'again', files)), toMicroseconds), []);
  });
});

test('all databases of a server, in UTF8, LATIN1, EUC_JP and SQL_ASCII', async () => {
  await emptyTargets();
  for (const encoding of ['LATIN1', 'EUC_JP', 'SQL_ASCII'] as const) {
    await createEncodedDatabase(postgres, `in ${encoding}`, encoding);
  }
  await postgres.query('postgres', 'CREATE DATABASE empty');
  await using all = makeBench({ OTHER_POSTGRES: target.url() });
  writeFileSync(
    join(all.folder, 'lifeboat.config.json'),
    JSON.stringify({ targets: { main: { postgres: { url: postgres.url(), databases: ['*'] } } } }),
  );
  await all.json('init');
  await all.backup();
  const names = ['empty', 'in EUC_JP', 'in LATIN1', 'in SQL_ASCII', 'sample'];
  await all.run([
    'restore',
    'latest',
    '--to-url-env',
    'OTHER_POSTGRES',
    ...names.flatMap((name) => ['--database', name]),
  ]);
  assert.deepEqual(
    (await databasesOf(target)).filter((name) => names.includes(name)),
    names,
  );
  for (const name of names) assertSameText(await textOf(target, name), await textOf(postgres, name));
  assertFailed(
    await all.run('restore latest --database nothing'),
    10,
    /no database "nothing"/,
    /it holds: .*in LATIN1/,
  );
  await all.nothingLeft();
});

/** Redis lists them in no order. */
function functionsOf(server: TestRedis): string[] {
  return server
    .cli(['FUNCTION', 'LIST', 'WITHCODE'])
    .split('library_name\n')
    .map((each) => each.trimEnd())
    .sort();
}

async function databasesOf(server: TestPostgres): Promise<string[]> {
  return (await server.query('postgres', 'SELECT datname AS name FROM pg_database ORDER BY datname')).map(
    ({ name }) => name ?? '',
  );
}
