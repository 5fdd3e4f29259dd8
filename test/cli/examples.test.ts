/**
 * The examples fit the program: configurations are loaded, command lines parsed and run, units and manifests checked.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { parseJsonc } from '../../src/config/jsonc.ts';
import { allSpellings } from '../../src/config/names.ts';
import { innerSchemas, isSecretSchema, keysOfSchema, type Schema } from '../../src/config/schema-walk.ts';
import { settingsSchema } from '../../src/config/schema.ts';
import { commands } from '../../src/command-list.ts';
import { runCli } from '../helpers/cli/run-cli.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

const root = dirname(dirname(import.meta.dirname));
const folder = mkdtempSync(join(tmpdir(), 'examples-'));
const read = (path: string): string => readFileSync(join(root, 'examples', path), 'utf8');
let postgres: TestPostgres;
let env: Record<string, string>;

before(async () => {
  postgres = await startPostgres();
  mkdirSync(join(folder, 'bin'));
  symlinkSync(join(root, 'bin/lifeboat.js'), join(folder, 'bin/lifeboat'));
  env = {
    PATH: `${folder}/bin:/usr/bin:/bin`,
    HOME: folder,
    TMPDIR: tmpdir(),
    DATABASE_URL: postgres.url(),
    BACKUP_REPOSITORY: `file://${folder}/repository`,
    BACKUP_ENCRYPTION_KEY: 'ab'.repeat(32),
    BACKUP_STATE_DIR: join(folder, 'state'),
  };
  assert.equal(
    (await runCli(['init', '--config', join(folder, 'lifeboat.config.json')], { cwd: folder, env })).exitCode,
    0,
  );
});
after(async () => {
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command line as it stands in an example, with --dry-run where there is one. */
async function rehearse(words: readonly string[]): Promise<void> {
  const [, ...argv] = words;
  assert.equal(basename(words[0] ?? ''), 'lifeboat');
  assert.ok(
    commands.some(({ name }) => name === argv[0]),
    `lifeboat ${argv[0]} is no command`,
  );
  const here = argv
    .map((word) => (word.startsWith('/etc/lifeboat/') ? join(folder, 'lifeboat.config.json') : word))
    .filter((word) => word !== 'redis');
  const { exitCode, stderr } = await runCli(
    argv[0] === 'backup' || argv[0] === 'cleanup' ? [...here, '--dry-run'] : here,
    { cwd: folder, env },
  );
  // A repository without a backup is all that validate finds here, and the receiver a server without a slot.
  assert.ok(
    exitCode === 0 ||
      (argv[0] === 'validate' && exitCode === 10) ||
      (argv[0] === 'wal' && exitCode === 13 && stderr.includes('--create-slot')),
    `${words.join(' ')}: ${stderr}`,
  );
}

/** A command that ends only when told to, well. */
function runForAWhile(words: readonly string[]): void {
  const here = words.map((word) =>
    word
      .replace('/usr/local/', `${folder}/`)
      .replace('/etc/lifeboat', folder)
      .replace(/^127\.0\.0\.1:\d+$/, '127.0.0.1:0'),
  );
  const args = ['--preserve-status', '--signal=TERM', '15', ...here];
  const { status, stderr } = spawnSync('timeout', args, { cwd: folder, env, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /stopped/);
}

for (const name of globSync('*.jsonc', { cwd: join(root, 'examples/configs') }).toSorted()) {
  test(`configs/${name} is a configuration without faults, secrets not fetched`, async () => {
    const path = join(folder, name);
    writeFileSync(path, read(`configs/${name}`), { mode: 0o600 });
    writeFileSync(join(folder, 'env'), '');
    const loaded = await loadConfig({ cwd: folder, env: {}, configPath: path, need: {} });
    assert.deepEqual(loaded.warnings, []);
    assert.ok(loaded.config.targets.size > 0 && loaded.config.repository !== undefined);
  });
}

test('configs/full.jsonc names every key there is', () => {
  assert.deepEqual(keysMissing([settingsSchema], parseJsonc(read('configs/full.jsonc')), ''), [
    'repository.sshConfig',
    'encryption.passphrase',
    'targets.main.postgres.base',
    ...retentionRules('targets.main.retention'),
    ...retentionRules('retention'),
  ]);
});

/**
 * Dotted paths of the schema's keys that the value does not have; records and lists are looked into by what they hold.
 */
function keysMissing(schemas: readonly Schema[], value: unknown, path: string): string[] {
  const inner = value as Readonly<Record<string, unknown>>;
  const keys = schemas.flatMap((schema) => (isSecretSchema(schema) ? [] : keysOfSchema(schema)));
  if (keys.length === 0 && (typeof value !== 'object' || schemas.some(isSecretSchema))) return [];
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`);
  const below = Object.keys(inner ?? {}).flatMap((key) =>
    keysMissing(
      schemas.flatMap((schema) => innerSchemas(schema, key)),
      inner[key],
      at(key),
    ),
  );
  // Which keys a channel has depends on its type: one of them shows each.
  if (path === 'notifications.channels') {
    const shown = new Set(Object.values(inner).flatMap((channel) => Object.keys(channel as object)));
    return [...new Set(below.map((each) => each.split('.').at(-1) ?? ''))].filter((key) => !shown.has(key));
  }
  return [...keys.filter((key) => !(key in inner)).map(at), ...below];
}

/** One component shows all rules, and says so for the others. */
function retentionRules(path: string): string[] {
  const all = [
    'days',
    'keepLast',
    'keepHourly',
    'keepDaily',
    'keepWeekly',
    'keepMonthly',
    'keepYearly',
    'keepWithin',
    'minBackups',
  ];
  const without = (component: string, shown: readonly string[]): string[] =>
    all.filter((rule) => !shown.includes(rule)).map((rule) => `${path}.${component}.${rule}`);
  if (path.startsWith('targets')) return [`${path}.database`, `${path}.redis`, ...without('files', ['days'])];
  return [
    ...without('database', ['days', 'minBackups']),
    ...without('redis', ['days', 'minBackups']),
    ...without('files', all.slice(1)),
  ];
}

test('crontab: every line has five fields and a command that runs', async () => {
  const lines = read('crontab')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  assert.ok(lines.length >= 3);
  for (const line of lines) {
    const match = /^((?:[\d*,/-]+ ){5})(\/.*)$/.exec(line);
    assert.ok(match, line);
    assert.doesNotMatch(line, /%/, 'cron makes line ends of these');
    await rehearse((match[2] ?? '').split(' '));
  }
});

test('systemd: the timer starts the service, whose command runs', async () => {
  const service = read('systemd/lifeboat-backup.service');
  const [, command = ''] = /^ExecStart=(.*)$/m.exec(service) ?? [];
  await rehearse(command.split(' '));
  for (const name of ['wal-stream', 'daemon']) {
    const unit = read(`systemd/lifeboat-${name}.service`);
    const words = (/^ExecStart=(.*)$/m.exec(unit)?.[1] ?? '').split(' ');
    if (name === 'daemon') runForAWhile(words);
    else await rehearse(words);
    for (const line of unit.split('\n')) assert.match(line, /^(#.*|\[(Unit|Service|Install)\]|[A-Z]\w+=.+|)$/);
  }
  assert.match(service, /^SuccessExitStatus=3$/m);
  for (const [, name] of service.matchAll(/^Environment=(\w+)=/gm)) {
    assert.ok(allSpellings().includes(name ?? ''), name);
  }
  for (const unit of ['service', 'timer']) {
    for (const line of read(`systemd/lifeboat-backup.${unit}`).split('\n')) {
      assert.match(line, /^(#.*|\[(Unit|Service|Timer|Install)\]|[A-Z]\w+=.+|)$/);
    }
  }
  assert.match(read('systemd/lifeboat-backup.timer'), /^OnCalendar=\*-\*-\* \d\d:\d\d:\d\d$/m);
});

test('kubernetes: the container runs a command that there is, with variables that are read', async () => {
  const yaml = read('kubernetes/cronjob.yaml');
  const [, args = '[]'] = /^ *args: (\[.*\])$/m.exec(yaml) ?? [];
  await rehearse(['lifeboat', ...(JSON.parse(args) as string[])]);
  for (const [, name = ''] of yaml.matchAll(/- name: ([A-Z_]+)$/gm)) {
    assert.ok(name === 'TMPDIR' || allSpellings().includes(name), name);
  }
  for (const [name] of yaml.matchAll(/\b(?:BACKUP|DATABASE|REDIS)_[A-Z_0-9]+\b/g)) {
    assert.ok(allSpellings().includes(name), name);
  }
  assert.doesNotMatch(yaml, /\t/);
  for (const line of yaml.split('\n')) assert.equal((/^ */.exec(line)?.[0].length ?? 0) % 2, 0, line);
  const claimed = [...yaml.matchAll(/name: (\w+), mountPath/g)].map(([, name]) => name);
  for (const name of claimed) assert.match(yaml, new RegExp(`^ {12}- name: ${name}$`, 'm'));
});

test('ci/backup-before-deploy.sh: takes a backup and passes; without one it does not let the deployment begin', () => {
  const script = join(root, 'examples/ci/backup-before-deploy.sh');
  assert.equal(spawnSync('sh', ['-n', script]).status, 0);
  const good = spawnSync(script, [], {
    cwd: folder,
    env: { ...env, GITHUB_SHA: '0123456789abcdef' },
    encoding: 'utf8',
  });
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /on hold until .*\n\nto go back to it:\n  lifeboat restore /);
  const bad = spawnSync(script, [], {
    cwd: folder,
    env: { ...env, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' },
    encoding: 'utf8',
  });
  assert.equal(bad.status, 13);
  assert.match(bad.stderr, /not deploying/);
});

test('the list of examples names each, and only those', () => {
  const listed = [...read('README.md').matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => (path ?? '').split('/')[0]);
  const there = globSync('*', { cwd: join(root, 'examples') }).filter((name) => name !== 'README.md');
  assert.deepEqual(new Set(listed), new Set(there));
  for (const [, path] of read('README.md').matchAll(/\]\(([^)]+)\)/g)) readFileSync(join(root, 'examples', path ?? ''));
});
