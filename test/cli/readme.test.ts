/**
 * The README is run: every block of shell commands, in order, against throwaway servers, in a sandbox in
 * place of /etc/lifeboat, /srv and /var/backups; its samples of output are compared with what came out.
 * Tables and examples of configuration are compared with the program.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../src/config/load.ts';
import { allSpellings } from '../../src/config/names.ts';
import { exitCodeOf } from '../../src/lib/errors.ts';
import { commands } from '../../src/command-list.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { namesBelow } from '../helpers/cli/command-run.ts';
import { fencesOf, linesMissing, type Fence } from '../helpers/cli/sample-output.ts';

const root = dirname(dirname(import.meta.dirname));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const fences = fencesOf(readme);
const folder = mkdtempSync(join(tmpdir(), 'lifeboat-readme-'));
const jobs = join(folder, 'jobs');
let postgres: TestPostgres;
let other: TestPostgres;
let redis: TestRedis;
/** One before the table was emptied; set when that was done. */
let goodMoment = '';

before(async () => {
  [postgres, other, redis] = await Promise.all([
    startPostgres({ port: 0, password: 'one' }),
    startPostgres({ port: 0, password: 'two' }),
    startRedis(),
  ]);
  await postgres.psql('postgres', `CREATE DATABASE shop; CREATE ROLE clerk`);
  await postgres.psql(
    'shop',
    "CREATE TABLE customer (id int PRIMARY KEY, name text); INSERT INTO customer SELECT n, 'customer ' || n FROM " +
      'generate_series(1, 1000) n; GRANT SELECT ON customer TO clerk',
  );
  redis.cli(['EVAL', `for n = 1, 1000 do redis.call('SET', 'session:' .. n, n) end`, '0']);
  for (const each of ['bin', 'home', 'etc', 'var/backups', 'srv/uploads/2026']) {
    mkdirSync(join(folder, each), { recursive: true });
  }
  symlinkSync(join(root, 'bin/lifeboat.js'), join(folder, 'bin/lifeboat'));
  symlinkSync(process.execPath, join(folder, 'bin/node'));
  for (const name of ['invoice.pdf', 'picture.jpg']) {
    writeFileSync(join(folder, 'srv/uploads/2026', name), `${name.padEnd(19)}\n`);
  }
});
after(async () => {
  endJobs();
  await Promise.all([postgres?.stop(), other?.stop(), redis?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** What the README's second reader is in need of: a table emptied, a moment before it, and log that reaches beyond. */
async function emptyTable(): Promise<void> {
  await postgres.psql('shop', 'CREATE TABLE visit AS SELECT n FROM generate_series(1, 500) n');
  await sleep(100);
  goodMoment = new Date().toISOString();
  await sleep(100);
  await postgres.psql('shop', 'DELETE FROM visit');
  const segment = await postgres.psql('shop', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
  await postgres.psql('shop', 'SELECT pg_switch_wal()');
  // The stream archives once a second.
  const archived = (): string[] => namesBelow(join(folder, 'var/backups/shop/wal')).map((name) => basename(name));
  while (!archived().includes(`${segment.trim()}.wal`)) await sleep(50);
}

/** Until the clock shows another second than it does now. */
async function nextSecond(): Promise<void> {
  await sleep(1000 - (Date.now() % 1000));
}

/** Programs that the README leaves running. */
function endJobs(): void {
  for (const pid of existsSync(jobs) ? readFileSync(jobs, 'utf8').split('\n').filter(Boolean) : []) {
    spawnSync('kill', [pid]);
  }
}

/**
 * The command as the sandbox has it: places, servers, and names that only a run can tell. One that runs for ever is
 * told to end, and says then whether it was well.
 */
function inSandbox(text: string, printed: string): string {
  const newest = (pattern: RegExp): string => printed.match(pattern)?.at(-1) ?? 'not there';
  return text
    .replaceAll('postgres://app:secret@localhost:5432/shop', postgres.url('shop'))
    .replaceAll('postgres://postgres:secret@other:5432/postgres', other.url('postgres'))
    .replaceAll('localhost:6379', `127.0.0.1:${redis.port}`)
    .replaceAll(/(?<![\w/}])\/(etc\/lifeboat|srv|var\/backups)/g, `${folder}/$1`)
    .replaceAll('file:///var', `file://${folder}/var`)
    .replaceAll('/usr/local/bin/lifeboat', `${folder}/bin/lifeboat`)
    .replaceAll(/^lifeboat daemon/gm, 'timeout --preserve-status --signal=TERM 15 lifeboat daemon')
    .replaceAll('2026-01-02T08:29:59Z', goodMoment)
    .replaceAll(/\b\d{8}T\d{6}Z-main-full-[0-9a-f]{8}\b/g, () => newest(/\b\d{8}T\d{6}Z-main-full-[0-9a-f]{8}\b/g))
    .replaceAll(/\bshop_before_\d{8}T\d{6}\b/g, () => newest(/\bshop_before_\d{8}T\d{6}\b/g));
}

interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly all: string;
}

/** One shell after the other: variables and the working directory go on. */
function shell(script: string, env: Readonly<Record<string, string>> = {}): Output {
  const state = join(folder, 'state.sh');
  const whole =
    `set -eu\n[ ! -e '${state}' ] || . '${state}'\ntrap '{ export -p; echo cd "$(pwd)"; } >"${state}"; jobs -p ` +
    `>>"${jobs}"' EXIT\n${script}`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', whole], {
    cwd: folder,
    env: {
      PATH: `${folder}/bin:${postgres.binDir}:/usr/bin:/bin`,
      HOME: join(folder, 'home'),
      XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(folder, 'home/.cache'),
      TMPDIR: tmpdir(),
      BACKUP_STATE_DIR: join(folder, 'state'),
      NO_COLOR: '1',
      ...env,
    },
    encoding: 'utf8',
  });
  return { code: status, stdout, all: stdout + stderr };
}

function isShell({ info }: Fence): boolean {
  return info === 'sh';
}

test('every block of commands runs, and prints what is shown', { timeout: 900_000 }, async () => {
  assert.ok(fences.filter(isShell).length >= 8);
  let printed = '';
  for (const [index, fence] of fences.entries()) {
    if (!isShell(fence)) continue;
    // Names of restored databases bear the second: nobody types two of these commands in one.
    await nextSecond();
    if (fence.text.includes('wal status')) await emptyTable();
    const { code, stdout, all } = shell(inSandbox(fence.text, printed));
    printed += stdout;
    assert.equal(code, 0, `README.md line ${fence.line}:\n${all}`);
    const sample = fences[index + 1];
    if (sample?.info === 'text') {
      assert.deepEqual(
        linesMissing(inSandbox(sample.text, printed), stdout),
        [],
        `README.md line ${sample.line} shows lines that were not printed; printed was:\n${stdout}`,
      );
    }
  }
  // What the commands have done.
  const databases = (await postgres.query('postgres', 'SELECT datname FROM pg_database ORDER BY 1')).map(
    (row) => row['datname'] ?? '',
  );
  assert.ok(
    databases.includes('shop_customer') && databases.some((name) => name.startsWith('shop_restored_')),
    databases.join(' '),
  );
  for (const [server, database] of [
    [postgres, 'shop'],
    [postgres, 'shop_customer'],
    [postgres, 'shop_before'],
    [other, 'shop'],
  ] as const) {
    assert.equal((await server.query(database, 'SELECT count(*) FROM customer'))[0]?.['count'], '1000');
  }
  for (const [database, rows] of [
    ['shop', '0'],
    ['shop_before', '500'],
  ] as const) {
    assert.equal((await postgres.query(database, 'SELECT count(*) FROM visit'))[0]?.['count'], rows, database);
  }
  assert.equal(
    readFileSync(join(folder, 'srv/recovered', folder.slice(1), 'srv/uploads/2026/invoice.pdf'), 'utf8'),
    `${'invoice.pdf'.padEnd(19)}\n`,
  );
  assert.ok(existsSync(join(folder, 'srv/rescued')));
});

test('the line for cron works in an environment like that of cron, silently', () => {
  const [line = ''] = fences.filter(({ info }) => info === 'crontab').map(({ text }) => text.trim());
  const [, command = ''] = /^(?:\S+ ){5}(.*)$/.exec(line) ?? [];
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', inSandbox(command, '')], {
    cwd: '/',
    env: {
      PATH: '/usr/bin:/bin',
      HOME: join(folder, 'home'),
      SHELL: '/bin/sh',
      LOGNAME: 'root',
      BACKUP_STATE_DIR: join(folder, 'state'),
      TMPDIR: tmpdir(),
    },
    encoding: 'utf8',
  });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
});

test('its program runs, and fits the types', () => {
  const [program] = fences.filter(({ info }) => info === 'ts');
  const file = join(folder, 'program.mts');
  writeFileSync(file, program?.text ?? '');
  const { code, all } = shell(
    `cd '${folder}/etc/lifeboat'; node --import '${root}/test/helpers/cli/lifeboat-from-source.mjs' '${file}'`,
  );
  assert.equal(code, 0, all);
  assert.match(all, /\d{8}T\d{6}Z-main-full-[0-9a-f]{8}/);
  const options = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      paths: { lifeboat: [join(root, 'src/index.ts')] },
      typeRoots: [join(root, 'node_modules/@types')],
      rootDir: '/',
    },
    include: [],
    files: [file],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
  const tsc = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder, '--pretty', 'false'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.deepEqual(
    tsc.stdout.split('\n').filter((line) => line.includes('program.mts')),
    [],
  );
});

test('its configuration is one', async () => {
  const [config] = fences.filter(({ info }) => info === 'jsonc');
  const path = join(folder, 'sample.jsonc');
  writeFileSync(path, config?.text ?? '', { mode: 0o600 });
  writeFileSync(join(folder, 'env'), 'DATABASE_URL=postgres://a@b/c\nREDIS_URL=redis://d\n');
  const loaded = await loadConfig({ cwd: folder, env: {}, configPath: path, need: { targets: 'all' } });
  assert.deepEqual(loaded.config.targets.get('shop')?.postgres?.databases, ['shop', 'billing']);
  assert.deepEqual(loaded.warnings, []);
});

test('names, commands, codes, pages and links are those of today', () => {
  const known = new Set([...allSpellings(), 'BACKUP_', 'NAME_FILE', 'NAME_COMMAND', 'OTHER_URL']);
  for (const [name] of readme.matchAll(/\b(?:BACKUP|DATABASE|REDIS)_[A-Z_0-9]+\b/g)) assert.ok(known.has(name), name);
  const [, later = ''] = /^Not there yet: (.*?)\. /m.exec(readme) ?? [];
  assert.ok(later.length > 0);
  const names = [...later.matchAll(/`(\w+)`/g)].map(([, name]) => name ?? '');
  for (const name of names) assert.ok(!commands.some((command) => command.name === name), `${name} is there: say so`);
  const codes = [...readme.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  assert.deepEqual(
    codes,
    [0, 1, ...Object.values(exitCodeOf), 3].toSorted((a, b) => a - b),
  );
  for (const [, page] of readme.matchAll(/`man ([a-z.-]+)`/g)) {
    assert.ok(
      ['1', '5', '7'].some((section) => existsSync(join(root, 'man', `${page}.${section}`))),
      page,
    );
  }
  for (const [, path] of readme.matchAll(/\]\(([^)#]+)\)/g)) assert.ok(existsSync(join(root, path ?? '')), path);
});

test('what npm is told exists, and is tested elsewhere', () => {
  const { scripts, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
    version: string;
  };
  assert.ok(scripts['quickstart'] !== undefined && scripts['test'] !== undefined);
  const [install] = fences.filter(({ info }) => info === 'sh npm');
  assert.equal(install?.text, `npm pack\nnpm install --global ./lifeboat-${version}.tgz\n`);
  // By test/cli/package.test.ts, into a project instead of globally.
  const elsewhere = readFileSync(join(root, 'test/cli/package.test.ts'), 'utf8');
  assert.ok(elsewhere.includes(`'npm', ['pack'`) && elsewhere.includes(`'npm', ['install'`));
});
