import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { LocalLocation, S3Location } from '../../../src/config/config.ts';
import { defaultStateDir } from '../../../src/config/discover.ts';
import { loadConfig, type LoadOptions } from '../../../src/config/load.ts';
import { LifeboatError } from '../../../src/lib/errors.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lifeboat-config-'));
});
after(() => rm(folder, { recursive: true, force: true }));

let counter = 0;

/** A fresh folder with a configuration file in it. */
async function withFile(content: unknown): Promise<string> {
  const cwd = join(folder, String(counter++));
  await mkdir(cwd);
  await writeFile(join(cwd, 'lifeboat.config.json'), typeof content === 'string' ? content : JSON.stringify(content), {
    mode: 0o600,
  });
  return cwd;
}

async function load(env: Record<string, string>, options: Partial<LoadOptions> = {}) {
  return loadConfig({ cwd: folder, env, ...options });
}

async function faultsOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => assert.fail('it was accepted'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof LifeboatError, String(error));
  assert.equal(error.exitCode, 2);
  return error.message;
}

describe('environment alone', () => {
  test('an empty environment gives the defaults', async () => {
    const { config, origins } = await load({});
    assert.equal(config.repository, undefined);
    assert.equal(config.targets.size, 0);
    assert.deepEqual(config.compression, { method: 'zstd', level: 3 });
    assert.equal(config.encryption.enabled, true);
    assert.equal(config.retention.database.days, 30);
    assert.equal(config.retention.redis.days, 7);
    assert.equal(config.hangTimeoutMs, 600_000);
    assert.equal(config.maxConcurrentBackups, 2);
    assert.ok(config.jobs >= 1 && config.jobs <= 4);
    assert.equal(origins.size, 0);
  });

  test('makes one target of DATABASE_URL, REDIS_URL and BACKUP_FILES', async () => {
    const { config, origins } = await load({
      DATABASE_URL: 'postgres://u:p@h:1/app',
      REDIS_URL: 'redis://h',
      BACKUP_FILES: '/a:b',
      BACKUP_TARGET: 'shop',
      BACKUP_JOBS: '3',
      BACKUP_COMPRESSION: 'gzip',
    });
    const target = config.targets.get('shop');
    assert.equal(target?.postgres?.url.reveal(), 'postgres://u:p@h:1/app');
    assert.deepEqual(target?.postgres?.databases, ['app']);
    assert.equal(target?.redis?.url.reveal(), 'redis://h');
    assert.deepEqual(target?.files?.paths, ['/a', join(folder, 'b')]);
    assert.equal(config.jobs, 3);
    assert.deepEqual(config.compression, { method: 'gzip', level: 6 });
    assert.equal(origins.get('jobs'), 'BACKUP_JOBS');
    assert.equal(origins.get('targets.shop.postgres.url'), 'DATABASE_URL');
  });

  test('fills a URL in from PG variables and the password file, and uses them alone', async () => {
    const pass = join(folder, 'pgpass');
    await writeFile(pass, '# c\nother:*:*:*:no\nh\\:x:5432:*:u:no\ndb.example:5432:app:joe:s\\:3cret\n', {
      mode: 0o600,
    });
    const alone = await load({
      PGHOST: 'db.example',
      PGUSER: 'joe',
      PGDATABASE: 'app',
      PGSSLMODE: 'require',
      PGPASSFILE: pass,
    });
    assert.equal(
      alone.config.targets.get('main')?.postgres?.url.reveal(),
      'postgres://joe:s%3A3cret@db.example:5432/app?sslmode=require',
    );
    const filled = await load({
      DATABASE_URL: 'postgresql://db.example/app',
      PGHOST: 'elsewhere',
      PGUSER: 'x',
      PGPASSWORD: 'a@b',
      PGPORT: '7',
    });
    assert.equal(filled.config.targets.get('main')?.postgres?.url.reveal(), 'postgres://x:a%40b@db.example:7/app');
    const socket = await load({ PGHOST: '/run/pg', PGUSER: 'x', PGPASSWORD: 'y' });
    assert.equal(socket.config.targets.get('main')?.postgres?.url.reveal(), 'postgres://x:y@%2Frun%2Fpg:5432/x');
    assert.deepEqual(socket.config.targets.get('main')?.postgres?.databases, ['*']);
    await chmod(pass, 0o644);
    const open = await load({ PGHOST: 'db.example', PGUSER: 'joe', PGDATABASE: 'app', PGPASSFILE: pass });
    assert.equal(open.config.targets.get('main')?.postgres?.url.reveal(), 'postgres://joe@db.example:5432/app');
    assert.match(open.warnings.join(), /others can read it/);
  });

  test('repository: the URL wins over the bucket, the bucket over the path', async () => {
    const s3 = {
      BACKUP_STORAGE_BUCKET: 'buck',
      BACKUP_S3_PREFIX: '/a/b/',
      BACKUP_S3_ENDPOINT: 'http://h:1',
      BACKUP_AWS_ACCESS_KEY_ID: 'id',
      BACKUP_AWS_SECRET_ACCESS_KEY: 'sec',
    };
    const bucket = (await load({ ...s3, BACKUP_DIR: '/x' })).config.repository as S3Location;
    assert.deepEqual(
      [bucket.kind, bucket.bucket, bucket.prefix, bucket.endpoint, bucket.pathStyle],
      ['s3', 'buck', 'a/b', 'http://h:1', true],
    );
    assert.equal(bucket.secretKey?.reveal(), 'sec');
    const local = (await load({ ...s3, BACKUP_REPOSITORY: 'file:///a%20b' })).config.repository as LocalLocation;
    assert.equal(local.path, '/a b');
    const folderOnly = (await load({ BACKUP_DIR: 'here', BACKUP_S3_ACCESS_KEY: 'left over' })).config
      .repository as LocalLocation;
    assert.equal(folderOnly.path, join(folder, 'here'));
    assert.equal((await load({ BACKUP_S3_ACCESS_KEY: 'left over' })).config.repository, undefined);
  });

  test('two names for one thing: equal passes, different does not; two sources do not', async () => {
    assert.ok((await load({ BACKUP_LOCAL_PATH: '/x', BACKUP_DIR: '/x' })).config.repository);
    assert.match(
      await faultsOf(load({ BACKUP_LOCAL_PATH: '/x', BACKUP_DIR: '/y' })),
      /BACKUP_LOCAL_PATH and BACKUP_DIR: say different things/,
    );
    assert.match(
      await faultsOf(load({ REDIS_URL: 'redis://h', REDIS_URL_FILE: '/y' })),
      /REDIS_URL and REDIS_URL_FILE/,
    );
  });

  test('all faults come in one message, each with its origin, and no secret is quoted', async () => {
    const cwd = await withFile({
      jobs: 'many',
      targets: { main: { postgress: { url: 'x' }, redis: { url: { evn: 'hush' } } } },
      compresion: {},
      compression: { method: 'gzip', level: 12 },
    });
    const message = await faultsOf(
      load(
        {
          BACKUP_RETENTON_DAYS: '3',
          MAX_BACKUP_SIZE_MB: 'big',
          BACKUP_ENCRYPTION_KEY: ' ',
          BACKUP_LOG_LEVEL: 'wran',
          BACKUP_ENCRYPTION_ENABLED: 'maybe',
        },
        { cwd },
      ),
    );
    for (const wanted of [
      /BACKUP_RETENTON_DAYS: is not a known name \(did you mean "BACKUP_RETENTION_DAYS"\?\)/,
      /MAX_BACKUP_SIZE_MB: "big" is not a whole number/,
      /BACKUP_ENCRYPTION_KEY: is set but empty/,
      /BACKUP_ENCRYPTION_ENABLED: "maybe" is neither true nor false/,
      /BACKUP_LOG_LEVEL: must be one of debug, info, warn, error \(did you mean "warn"\?\)/,
      /config\.json: jobs: must be a number/,
      /config\.json: targets\.main\.postgress: is not a known key \(did you mean "postgres"\?\)/,
      /config\.json: targets\.main\.redis\.url: must be a text, \{"env"/,
      /config\.json: compresion: is not a known key \(did you mean "compression"\?\)/,
      /config\.json: compression\.level: gzip has the levels 1 to 9/,
    ]) {
      assert.match(message, wanted);
    }
    assert.doesNotMatch(message, /hush/);
  });

  test('every value of the table is understood', async () => {
    const schedules = [{ id: 'n', cronExpression: '0 3 * * *', type: 'full' }];
    const { config } = await load({
      BACKUP_RETENTION_DAYS: '14',
      MAX_BACKUP_SIZE_MB: '5',
      BACKUP_SCHEDULES: JSON.stringify(schedules),
      BACKUP_ALERT_WEBHOOK: 'https://w',
      BACKUP_ALERT_EMAIL_RECIPIENTS: 'a@b.c, d@e.f',
      BACKUP_ENCRYPTION_ENABLED: 'no',
      BACKUP_STATE_DIR: 'state',
    });
    assert.deepEqual(
      [config.retention.database.days, config.retention.redis.days, config.retention.files.days],
      [14, 14, 14],
    );
    assert.equal(config.maxBackupBytes, 5_000_000);
    assert.deepEqual(config.schedules, [
      {
        id: 'n',
        name: 'n',
        cronExpression: '0 3 * * *',
        timezone: undefined,
        type: 'full',
        enabled: true,
        options: {},
        missed: 'once',
        graceMs: 3_600_000,
        timeoutMs: undefined,
        attempts: 3,
      },
    ]);
    const webhook = config.notifications.channels.get('webhook');
    assert.ok(webhook?.type === 'webhook');
    assert.equal((await webhook.url.fetch(AbortSignal.timeout(1000))).reveal(), 'https://w');
    assert.equal(config.encryption.enabled, false);
    assert.equal(config.stateDir, join(folder, 'state'));
    assert.match(
      await faultsOf(load({ BACKUP_SCHEDULES: '[{"id":"n","cronExpression":"daily"}]' })),
      /BACKUP_SCHEDULES: must have five or six fields/,
    );
    assert.match(
      await faultsOf(load({ BACKUP_SCHEDULES: '[{"id":"n","cronExpression":"61 * * * *"}]' })),
      /BACKUP_SCHEDULES: "61" is no minute/,
    );
    assert.match(await faultsOf(load({ BACKUP_TARGET: 'A.b' })), /BACKUP_TARGET: must be a target name/);
  });
});

describe('secrets', () => {
  test('come from files and programs, relative to where they were named; one line end is dropped', async () => {
    const cwd = await withFile({
      encryption: { key: { file: 'key' } },
      targets: { a: { redis: { url: { command: ['/bin/sh', '-c', 'printf "redis://%s\\n" "$VAULT"'] } } } },
    });
    await writeFile(join(cwd, 'key'), 'secret key \n');
    const { config } = await load({ VAULT: 'host', PATH: '/usr/bin:/bin' }, { cwd });
    assert.equal(config.encryption.key?.reveal(), 'secret key ');
    assert.equal(config.targets.get('a')?.redis?.url.reveal(), 'redis://host');
    const commands = await load({
      REDIS_URL_COMMAND: `sh -c "echo redis://'x y'"`,
      BACKUP_ENCRYPTION_KEY_FILE: join(cwd, 'key'),
      PATH: '/usr/bin:/bin',
    });
    assert.equal(commands.config.targets.get('main')?.redis?.url.reveal(), 'redis://x y');
    assert.equal(commands.config.encryption.key?.reveal(), 'secret key ');
  });

  test('are fetched only where needed, and say what went wrong', async () => {
    const cwd = await withFile({
      encryption: { key: { command: ['/bin/sh', '-c', 'echo leak; echo no vault >&2; exit 3'] } },
      targets: { a: { redis: { url: { env: 'NOPE' } } }, b: { redis: { url: 'redis://b' } } },
    });
    const { config } = await load({}, { cwd, need: { repository: true, targets: { name: 'b' } } });
    assert.throws(() => config.encryption.key?.reveal(), /encryption.key was not loaded/);
    assert.equal(config.targets.get('b')?.redis?.url.reveal(), 'redis://b');
    const message = await faultsOf(load({}, { cwd }));
    assert.match(message, /encryption\.key: sh exited with code 3: no vault/);
    assert.match(message, /targets\.a\.redis\.url: the environment variable NOPE is not set/);
    assert.doesNotMatch(message, /leak/);
  });

  test('an identity may be a path', async () => {
    const identity = join(folder, 'identity');
    await writeFile(identity, '# x\nAGE-SECRET-KEY-1ABC\n');
    assert.match(
      (await load({ BACKUP_ENCRYPTION_IDENTITY: identity })).config.encryption.identity?.reveal() ?? '',
      /AGE-SECRET-KEY-1ABC/,
    );
    assert.equal(
      (await load({ BACKUP_ENCRYPTION_IDENTITY: 'AGE-SECRET-KEY-1Q' })).config.encryption.identity?.reveal(),
      'AGE-SECRET-KEY-1Q',
    );
  });

  test('do not show when the whole configuration is printed', async () => {
    const { config } = await load({
      DATABASE_URL: 'postgres://u:hush@h/d',
      BACKUP_ENCRYPTION_PASSPHRASE: 'hush',
      SLACK_WEBHOOK_URL: 'https://hush',
    });
    const { inspect } = await import('node:util');
    assert.doesNotMatch(
      inspect(config, { depth: 9 }) + JSON.stringify([...config.targets, config.notifications, config.encryption]),
      /hush/,
    );
  });
});

describe('file', () => {
  test('is found upward, may hold comments and trailing commas, gives way to the environment and flags', async () => {
    const cwd = await withFile(
      '{ // one\n "jobs": 2, /* "jobs": 3 */ "maxBackupSizeMb": 9, "repository": "./repo", "targets": {"a": ' +
        '{"files": {"paths": ["up//*no comment*/",]},},},\n}',
    );
    await mkdir(join(cwd, 'x', 'y'), { recursive: true });
    const { config, origins, file } = await load(
      { BACKUP_JOBS: '5' },
      { cwd: join(cwd, 'x', 'y'), overrides: [{ path: 'maxBackupSizeMb', value: 7, origin: '--max-size' }] },
    );
    assert.equal(file, join(cwd, 'lifeboat.config.json'));
    assert.equal((config.repository as LocalLocation).path, join(cwd, 'repo'));
    assert.deepEqual(config.targets.get('a')?.files?.paths, [join(cwd, 'up/*no comment*/').replace(/\/$/, '')]);
    assert.equal(config.jobs, 5);
    assert.equal(config.maxBackupBytes, 7_000_000);
    assert.equal(origins.get('jobs'), 'BACKUP_JOBS');
    assert.equal(origins.get('maxBackupSizeMb'), '--max-size');
    assert.equal(origins.get('targets.a.files.paths'), file);
  });

  test('a wrong method of compression is told with the nearest right one', async () => {
    assert.match(
      await faultsOf(load({ BACKUP_COMPRESSION: 'zsdt:3' })),
      /BACKUP_COMPRESSION: "zsdt:3" is not a method and level such as zstd:3 \(did you mean "zstd"\?\)/,
    );
    assert.match(await faultsOf(load({ BACKUP_COMPRESSION: 'gzip:12' })), /gzip has the levels 1 to 9/);
  });

  test('says where its JSON breaks, without quoting it', async () => {
    const message = await faultsOf(load({}, { cwd: await withFile('{\n  "jobs": 1,\n  "x": hush\n}') }));
    assert.match(message, /no valid JSON at line 3, column 8/);
    assert.doesNotMatch(message, /hush/);
  });

  test('--config and --env-file name files; a missing one is an error', async () => {
    const cwd = await withFile({ envFile: 'prod.env' });
    await writeFile(join(cwd, 'prod.env'), 'REDIS_URL="redis://prod"\nBACKUP_JOBS=1\n');
    await writeFile(join(cwd, 'other.env'), 'REDIS_URL=redis://other\n');
    const configPath = join(cwd, 'lifeboat.config.json');
    const { config, origins } = await load({ BACKUP_JOBS: '2' }, { configPath });
    assert.equal(config.targets.get('main')?.redis?.url.reveal(), 'redis://prod');
    assert.equal(config.jobs, 2);
    assert.equal(origins.get('targets.main.redis.url'), `REDIS_URL in ${join(cwd, 'prod.env')}`);
    assert.equal(
      (await load({}, { configPath, envFile: join(cwd, 'other.env') })).config.targets.get('main')?.redis?.url.reveal(),
      'redis://other',
    );
    assert.match(
      await faultsOf(load({}, { configPath: '/nowhere/x.json' })),
      /cannot read the configuration file \/nowhere\/x.json/,
    );
    assert.equal((await load({}, { cwd, configPath: '/nowhere/x.json', configMayBeMissing: true })).file, undefined);
    assert.match(await faultsOf(load({}, { envFile: '/nowhere/x.env' })), /cannot read the environment file/);
    await writeFile(join(cwd, 'bad.env'), 'REDIS_URL=redis://h\nBACKUP_ENCRYPTION_PASSPHRASE=hush # comment\n');
    const message = await faultsOf(load({}, { envFile: join(cwd, 'bad.env') }));
    assert.match(message, /bad\.env: line 2: has a # behind a blank/);
    assert.doesNotMatch(message, /hush/);
  });

  test('a passphrase is the same one in a variable, in a line of the env file and in a file of its own', async () => {
    const cwd = await withFile({});
    await writeFile(join(cwd, 'passphrase'), 'correct#horse battery\n');
    await writeFile(join(cwd, 'env'), '\ufeffBACKUP_ENCRYPTION_PASSPHRASE=correct#horse battery\n');
    const name = 'BACKUP_ENCRYPTION_PASSPHRASE';
    for (const [env, envFile] of [
      [{ [name]: 'correct#horse battery\n' }],
      [{ [name]: 'correct#horse battery\r\n' }],
      [{ [`${name}_FILE`]: join(cwd, 'passphrase') }],
      [{}, join(cwd, 'env')],
    ] as const) {
      const { config } = await load(env, { cwd, envFile });
      assert.equal(config.encryption.passphrase?.reveal(), 'correct#horse battery');
    }
  });

  test('is looked for in the XDG folder', async () => {
    const xdg = join(folder, 'xdg');
    await mkdir(join(xdg, 'lifeboat'), { recursive: true });
    await writeFile(join(xdg, 'lifeboat', 'lifeboat.config.json'), '{"jobs": 3}');
    assert.equal((await load({ XDG_CONFIG_HOME: xdg })).config.jobs, 3);
    const home = join(folder, 'home');
    await mkdir(join(home, '.config', 'lifeboat'), { recursive: true });
    await writeFile(join(home, '.config', 'lifeboat', 'lifeboat.config.json'), '{"jobs": 2}');
    assert.equal((await load({ HOME: home })).config.jobs, 2);
  });

  test('that everyone can write is refused by the search, not by --config', async () => {
    const cwd = await withFile({ jobs: 2 });
    const configPath = join(cwd, 'lifeboat.config.json');
    await chmod(configPath, 0o666);
    assert.match(await faultsOf(load({}, { cwd })), /everyone can write it/);
    assert.equal((await load({}, { configPath })).config.jobs, 2);
  });

  test("a target's retention replaces the general one component by component", async () => {
    const cwd = await withFile({
      retention: { database: { days: 10, keepWithin: '36h' } },
      targets: { a: { redis: { url: 'redis://a' }, retention: { redis: { keepLast: 4 } } } },
    });
    const { config } = await load({}, { cwd });
    assert.equal(config.retention.database.keepWithinMs, 36 * 3_600_000);
    const own = config.targets.get('a')?.retention;
    assert.equal(own?.database.days, 10);
    assert.deepEqual([own?.redis.days, own?.redis.keepLast, own?.redis.minBackups], [undefined, 4, 3]);
  });

  test('BACKUP_FILES beside targets is warned of, unless they protect the same', async () => {
    const cwd = await withFile({ targets: { a: { files: { paths: ['/srv/a', '/srv/b'] } } } });
    assert.deepEqual((await load({ BACKUP_FILES: '/srv/a' }, { cwd })).warnings, []);
    assert.match(
      (await load({ BACKUP_FILES: '/srv/a:/srv/c' }, { cwd })).warnings.join(),
      /BACKUP_FILES has no effect/,
    );
  });

  test('keys of the environment go with the bucket of the file', async () => {
    const cwd = await withFile({ repository: 's3://buck/p' });
    const { config } = await load({ BACKUP_S3_ACCESS_KEY: 'a', BACKUP_S3_SECRET_KEY: 'b' }, { cwd });
    const repository = config.repository as S3Location;
    assert.deepEqual([repository.bucket, repository.accessKey?.reveal()], ['buck', 'a']);
    assert.match(
      await faultsOf(load({ BACKUP_S3_ACCESS_KEY: 'a' }, { cwd })),
      /BACKUP_S3_ACCESS_KEY: has no secretKey beside it/,
    );
  });
});

test('the state folder needs neither HOME nor XDG', () => {
  assert.equal(defaultStateDir({}, 0), '/var/lib/lifeboat');
  assert.equal(defaultStateDir({ XDG_STATE_HOME: '/s' }, 7), '/s/lifeboat');
  assert.equal(defaultStateDir({ HOME: '/h' }, 7), '/h/.local/state/lifeboat');
});

test('without a home the state folder is made at once, for us alone, or refused', async () => {
  const path = join(tmpdir(), 'lifeboat-4294900001');
  await rm(path, { recursive: true, force: true });
  try {
    assert.equal(defaultStateDir({ HOME: '/nonexistent' }, 4_294_900_001), path);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
    assert.equal(defaultStateDir({ HOME: '/nonexistent' }, 4_294_900_001), path);
    await chmod(path, 0o777);
    assert.throws(() => defaultStateDir({ HOME: '/nonexistent' }, 4_294_900_001), /it is not ours alone/);
  } finally {
    await rm(path, { recursive: true, force: true });
  }

  test('extensions are trusted by names that can be names', async () => {
    const withNames = async (trustedExtensions: unknown): Promise<string> =>
      withFile({ targets: { main: { postgres: { url: 'postgres://h/d', trustedExtensions } } } });
    const names = ['postgis', 'uuid-ossp', 'Ünï'];
    const { config } = await load({}, { cwd: await withNames(names) });
    assert.deepEqual(config.targets.get('main')?.postgres?.trustedExtensions, names);
    for (const wrong of ['', '-x', 'x-', 'a--b', 'a/b', "a'b", 'a b', 'a\n']) {
      assert.match(
        await faultsOf(load({}, { cwd: await withNames([wrong]) })),
        /trustedExtensions\.0: must be the name of an extension/,
      );
    }
  });
});
