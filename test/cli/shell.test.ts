import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { documents } from '../../src/ui/json/documents.ts';
import { runCli } from '../helpers/cli/run-cli.ts';

const cli = new URL('../../src/cli.ts', import.meta.url).href;

let cwd: string;
before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'lifeboat-cli-'));
});
after(() => rm(cwd, { recursive: true, force: true }));

describe('usage errors exit 2 and name the nearest right word', () => {
  for (const [line, message, hint] of [
    ['bakup', /unknown command 'bakup' \(did you mean "backup"\?\)/, /lifeboat --help/],
    ['backup databse', /It must be one of full, database, .*\(did you mean "database"\?\)/, /lifeboat backup --help/],
    ['backup --jbos 3', /unknown option '--jbos' \(did you mean "--jobs"\?\)/, /lifeboat backup --help/],
    ['backup --jobs none', /--jobs <number>' argument 'none' is invalid/, /lifeboat backup --help/],
    ['backup --compression zsdt:3', /did you mean "zstd"/, /lifeboat backup --help/],
    ['backup --if-running wiat', /must be fail, skip or wait=5m/, /lifeboat backup --help/],
    ['backup --timeout soon', /"soon" is not a duration/, /lifeboat backup --help/],
    ['backup --max-size huge', /It is not a size/, /lifeboat backup --help/],
    ['keys genrate', /did you mean "generate"/, /lifeboat keys --help/],
    ['show', /missing required argument 'id'/, /lifeboat show --help/],
    ['list extra', /too many arguments/, /lifeboat list --help/],
    ['restore', /needs the id of a backup/, /latest/],
    ['restore latest --schema-only --data-only', /--schema-only and --data-only contradict/, undefined],
    ['restore latest --to-url-env postgres://u:p@h/d', /give the name of a variable, not the URL/, undefined],
    ['', /no command was named/, /init, backup, list/],
  ] as const) {
    test(`lifeboat ${line}`, async () => {
      const result = await runCli(
        line.split(' ').filter((word) => word !== ''),
        { cwd },
      );
      assert.equal(result.exitCode, 2);
      assert.equal(result.stdout, '');
      assert.match(result.stderr, message);
      if (hint !== undefined) assert.match(result.stderr, hint);
      assert.doesNotMatch(result.stderr, /\n\s+at /);
    });
  }
});

test('--json gives a document for failures of usage and configuration, before and after the command', async () => {
  for (const line of [
    '--json bakup',
    'bakup --json',
    'backup --json --jbos',
    '--json list',
    'keys add --json',
    'restore latest --config /nowhere.json --json',
  ]) {
    const result = await runCli(line.split(' '), { cwd });
    assert.equal(result.exitCode, 2, line);
    assert.equal(result.stderr, '', line);
    const document = documents.error.parse(JSON.parse(result.stdout));
    assert.equal(document.code, 'usage', line);
    assert.equal(document.exitCode, 2, line);
  }
});

test('faults of the configuration come as facts', async () => {
  const result = await runCli(['config', 'show', '--json'], { cwd, env: { BACKUP_JOBS: 'x', BACKUP_TARGTE: 'y' } });
  const { facts = {} } = documents.error.parse(JSON.parse(result.stdout));
  assert.deepEqual((facts['faults'] as { where: string }[]).map(({ where }) => where).toSorted(), [
    'BACKUP_JOBS',
    'BACKUP_TARGTE',
  ]);
});

test('help is the result: on stdout, exit 0, with the flags of the command', async () => {
  for (const [line, pattern] of [
    ['--help', /Commands:[\s\S]*restore/],
    ['help', /Commands:/],
    ['help backup', /--if-running/],
    ['backup -h', /--if-running/],
    ['help keys rotate', /start a new data key/],
    ['config --help', /show/],
  ] as const) {
    const result = await runCli(line.split(' '), { cwd });
    assert.equal(result.exitCode, 0, line);
    assert.match(result.stdout, pattern, line);
    assert.equal(result.stderr, '', line);
  }
});

test('version, as a flag, a command and a document', async () => {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  assert.equal((await runCli(['--version'])).stdout, `${version}\n`);
  assert.match((await runCli(['version'])).stdout, new RegExp(`^lifeboat ${version.replaceAll('.', '\\.')} `));
  assert.equal(documents.version.parse(JSON.parse((await runCli(['--json', 'version'])).stdout)).lifeboat, version);
});

test('--version loads no package, config show only what it needs', () => {
  const packagesOf = (line: string): string[] => {
    const script = `
      const { registerHooks } = await import('node:module');
      const packages = new Set();
      const load = (url, context, next) => {
        const name = /node_modules\\/((@[^/]+\\/)?[^/]+)/.exec(url)?.[1];
        if (name) packages.add(name);
        return next(url, context);
      };
      registerHooks({ load });
      const { run } = await import(${JSON.stringify(cli)});
      process.stdout.write = (text, encoding, done) => { (done ?? encoding)?.(); return true; };
      await run(${JSON.stringify(line.split(' '))});
      console.error(JSON.stringify([...packages]));`;
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd, encoding: 'utf8' });
    return (JSON.parse(stderr) as string[]).toSorted();
  };
  assert.deepEqual(packagesOf('--version'), []);
  assert.deepEqual(packagesOf('version --json'), ['commander']);
  assert.deepEqual(packagesOf('config show --json'), ['commander', 'zod']);
});

describe('secrets', () => {
  const hush = 'Xhush-4711X';
  const env = {
    DATABASE_URL: `postgres://u:${hush}@h/app`,
    REDIS_URL: `redis://:${hush}@h`,
    BACKUP_REPOSITORY: 's3://bucket/prefix',
    BACKUP_S3_ACCESS_KEY: `${hush}a`,
    BACKUP_S3_SECRET_KEY: `${hush}s`,
    BACKUP_S3_SESSION_TOKEN: `${hush}t`,
    BACKUP_ENCRYPTION_KEY: hush,
    BACKUP_NOTIFICATION_WEBHOOK: `https://${hush}`,
    SLACK_WEBHOOK_URL: `https://s/${hush}`,
    SMTP_URL: `smtps://u:${hush}@m`,
    BACKUP_PING_URL: `https://p/${hush}`,
  };

  test('are masked by config show, as text, as JSON and in faults', async () => {
    const text = await runCli(['config', 'show'], { cwd, env });
    assert.equal(text.exitCode, 0, text.stderr);
    assert.match(text.stdout, /encryption\.key +\*\*\* +BACKUP_ENCRYPTION_KEY/);
    assert.match(text.stdout, /targets\.main\.postgres\.url +\*\*\* +DATABASE_URL/);
    const json = await runCli(['config', 'show', '--json'], { cwd, env });
    const document = documents['config-show'].parse(JSON.parse(json.stdout));
    assert.equal(document.values.filter((row) => row.secret === true).length, 10);
    const faults = await runCli(['config', 'show', '--debug'], {
      cwd,
      env: {
        ...env,
        BACKUP_JOBS: 'x',
        REDIS_URL: hush,
        BACKUP_ENCRYPTION_PASSPHRASE: hush,
        DATABASE_URL_FILE: `/x/${hush}`,
      },
    });
    assert.equal(faults.exitCode, 2);
    assert.doesNotMatch(
      text.stdout + text.stderr + json.stdout + json.stderr + faults.stdout + faults.stderr,
      new RegExp(hush),
    );
  });

  test('config show names files and programs, not their values, and fetches nothing', async () => {
    const result = await runCli(['config', 'show'], {
      cwd,
      env: { BACKUP_ENCRYPTION_KEY_COMMAND: '/bin/no-such-vault read --token abc', REDIS_URL_FILE: '/no/such/file' },
    });
    assert.equal(result.exitCode, 0, result.stderr);
    assert.match(result.stdout, /\*\*\* \(command \/bin\/no-such-vault\)/);
    assert.match(result.stdout, /\*\*\* \(file \/no\/such\/file\)/);
    assert.doesNotMatch(result.stdout, /token/);
  });
});

test('config show --schema prints a JSON Schema', async () => {
  const result = await runCli(['config', 'show', '--schema'], { cwd });
  const schema = JSON.parse(result.stdout) as { properties: Record<string, { description?: string }> };
  assert.ok(
    Object.values(schema.properties).every(({ description }) => description !== undefined && description !== ''),
  );
  assert.ok('repository' in schema.properties);
});

test('works in an empty environment', async () => {
  const result = await runCli(['config', 'show', '--json'], { cwd, env: {} });
  assert.equal(result.exitCode, 0);
  assert.equal(result.stderr, '');
});

test('a bug exits 1 with a short message; its stack is shown with --debug only', async () => {
  // An environment that cannot be read is none of the errors that the program knows.
  const env = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new TypeError('planted');
      },
    },
  );
  const plain = await runCli(['config', 'show'], { cwd, env });
  assert.equal(plain.exitCode, 1);
  assert.match(plain.stderr, /^lifeboat: planted\nhint: this is a bug/);
  assert.doesNotMatch(plain.stderr, /\n\s+at /);
  assert.match((await runCli(['config', 'show', '--debug'], { cwd, env })).stderr, /TypeError: planted\n\s+at /);
  const document = documents.error.parse(JSON.parse((await runCli(['config', 'show', '--json'], { cwd, env })).stdout));
  assert.deepEqual([document.code, document.exitCode], ['bug', 1]);
});

test('a reader that stops early is no failure', async () => {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { run } = await import(${JSON.stringify(cli)}); process.exitCode = await run(['config', 'show', ` +
        "'--schema']);",
    ],
    { cwd, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [exitCode] = (await once(child, 'close')) as [number];
  assert.equal(stderr, '');
  assert.equal(exitCode, 0);
});
