/**
 * An application that is brought to rest for a backup, and always goes on: early where the sources allow it, after
 * failures and signals, and by the next run where this one was killed.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

type Done = Extract<BackupResult, { outcome: 'done' }>;

describe('quiesce', () => {
  let bench: Bench;
  let postgres: TestPostgres;
  let diary: string;
  let resting: string;

  before(async () => {
    postgres = await startPostgres();
    await postgres.psql(
      'postgres',
      'CREATE TABLE item AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 200000) n',
    );
    bench = makeBench({ APP_URL: postgres.url('postgres') });
    mkdirSync(join(bench.folder, 'files'));
    writeFileSync(join(bench.folder, 'files/a'), 'first');
    diary = join(bench.folder, 'diary');
    resting = join(bench.folder, 'resting');
    configure({});
    await bench.json('init');
  });
  beforeEach(() => {
    for (const path of [diary, resting]) rmSync(path, { force: true });
  });
  after(async () => {
    await postgres?.stop();
    await bench?.[Symbol.asyncDispose]();
  });

  const rest = `touch resting; echo $LIFEBOAT_HOOK $LIFEBOAT_TARGET >> diary`;
  const goOn = `rm -f resting; echo $LIFEBOAT_HOOK >> diary`;

  /** Scripts in place of the usual ones; null: no quiesce at all. */
  function configure(
    scripts: { begin?: string; end?: string } | null,
    source: object = { files: { paths: ['files'] } },
  ): void {
    const { begin = rest, end = goOn } = scripts ?? {};
    const quiesce = { begin: ['sh', '-c', begin], end: ['sh', '-c', end], timeoutSeconds: 60 };
    const shop = { ...source, ...(scripts === null ? {} : { quiesce }) };
    writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ targets: { shop } }));
  }

  const noted = (): string[] => (existsSync(diary) ? readFileSync(diary, 'utf8').trim().split('\n') : []);

  /** Runs a backup, and kills it when the application rests. */
  async function killAtRest(): Promise<void> {
    configure({ begin: `${rest}; sleep 600` });
    const command = await bench.start('backup');
    while (!existsSync(resting) || noted().length === 0) await sleep(20);
    command.kill('SIGKILL');
    await command.result;
    assert.ok(existsSync(resting));
  }

  test('begins before anything is read, and ends', async () => {
    configure({});
    await bench.backup();
    assert.deepEqual(noted(), ['begin shop', 'end']);
    await bench.nothingLeft();
  });

  test('a database: it goes on once the snapshot is held, and what it writes then is not in the backup', async () => {
    const write = `psql -d "$APP_URL" -qc "CREATE TABLE IF NOT EXISTS later AS SELECT 1 AS n"`;
    const isDumped = "EXISTS (SELECT FROM pg_locks WHERE relation = 'item'::regclass)";
    const look = `psql -d "$APP_URL" -Atc "SELECT ${isDumped}" >> diary`;
    const source = { postgres: { url: { env: 'APP_URL' } } };
    configure({ end: `${goOn}; ${look}; ${write}` }, source);
    const config = JSON.parse(readFileSync(join(bench.folder, 'lifeboat.config.json'), 'utf8'));
    config.targets.shop.quiesce.env = ['APP_URL'];
    writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify(config));
    const { stderr, exitCode } = await bench.run('backup --debug', {
      env: { PATH: `${postgres.binDir}:${process.env['PATH']}` },
    });
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(noted(), ['begin shop', 'end', 't'], 'it goes on beside the dump');
    const tables = await postgres.query('postgres', "SELECT to_regclass('later')::text AS name");
    assert.equal(tables[0]?.['name'], 'later');
    await bench.json('restore latest --to-database back');
    const back = await postgres.query('back', "SELECT to_regclass('later') IS NULL AS is_without, count(*) FROM item");
    assert.deepEqual(back, [{ is_without: 't', count: '200000' }]);
  });

  test('begin fails: 16, no backup, and the end is run', async () => {
    configure({ begin: `${rest}; echo it is busy; exit 4` });
    const recorded = bench.recorded();
    assertFailed(await bench.run('backup'), 16, /the quiesce begin of target shop ended with 4: it is busy/, /by hand/);
    assert.deepEqual(bench.recorded(), recorded);
    assert.deepEqual([noted(), existsSync(resting)], [['begin shop', 'end'], false]);
    await bench.nothingLeft();
  });

  test('the backup fails: the end is run', async () => {
    configure({ begin: `${rest}; mv files gone` });
    const { exitCode } = await bench.run('backup');
    configure({});
    const { execFileSync } = await import('node:child_process');
    execFileSync('mv', [join(bench.folder, 'gone'), join(bench.folder, 'files')]);
    assert.notEqual(exitCode, 0);
    assert.equal(noted().at(-1), 'end');
    await bench.nothingLeft();
  });

  test('a signal while it rests: the end is run', async () => {
    configure({ begin: `${rest}; sleep 600` });
    const command = await bench.start('backup');
    while (noted().length === 0) await sleep(20);
    command.kill('SIGINT');
    assert.equal((await command.result).exitCode, 130);
    assert.deepEqual([noted(), existsSync(resting)], [['begin shop', 'end'], false]);
  });

  test('an end that fails is tried again, a warning, and tried once more by the next run', async () => {
    configure({ end: 'echo tried >> diary; exit 1' });
    const { warnings } = await bench.json<Done>('backup', { exitCode: 3 });
    assert.match(warnings.join(), /target shop may still be at rest: the quiesce end of target shop ended with 1/);
    assert.deepEqual(noted(), ['begin shop', 'tried', 'tried']);
    configure({});
    await bench.backup();
    assert.deepEqual(noted().slice(3), ['end', 'begin shop', 'end']);
    await bench.nothingLeft();
  });

  test('after kill -9 the next run ends it, by the command that is configured then', async () => {
    await killAtRest();
    configure({ end: `${goOn}; echo by the new one >> diary` });
    // Whatever its verb: also where it then fails.
    await bench.run('restore no-such-backup');
    assert.deepEqual([noted(), existsSync(resting)], [['begin shop', 'end', 'by the new one'], false]);
    await bench.backup();
    await bench.nothingLeft();
  });

  test('where no quiesce is configured any more it is told, once', async () => {
    await killAtRest();
    configure(null);
    const { warnings } = await bench.json<Done>('backup', { exitCode: 3 });
    assert.match(warnings.join(), /a killed run has left target shop at rest, and no quiesce is configured/);
    assert.deepEqual((await bench.backup()).warnings, []);
    await bench.nothingLeft();
  });

  test('a run into another repository leaves it alone; its own undoes it', async () => {
    await killAtRest();
    configure({});
    const other = { BACKUP_REPOSITORY: `file://${bench.folder}/other` };
    await bench.json('init', { env: other });
    await bench.run('restore no-such-backup', { env: other });
    assert.ok(existsSync(resting));
    await bench.run('restore no-such-backup');
    assert.equal(existsSync(resting), false);
  });

  test('what a state folder says is no order: only the name of a target is taken from it', async () => {
    const run = join(bench.stateDir, 'run');
    const planted = {
      duty: { kind: 'quiesce', place: bench.env['BACKUP_REPOSITORY'], target: 'shop', end: ['touch', 'owned'] },
    };
    configure({});
    writeFileSync(join(run, '999999-1.ndjson'), `${JSON.stringify({ add: planted })}\n{"add":{"duty":null}}\n`, {
      mode: 0o600,
    });
    await bench.backup();
    assert.deepEqual(noted(), ['end', 'begin shop', 'end']);
    assert.equal(existsSync(join(bench.folder, 'owned')), false);
    assert.deepEqual(readdirSync(run), []);
  });
});
