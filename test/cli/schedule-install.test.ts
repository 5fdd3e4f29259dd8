/** What calls schedules, put in place and taken out again: real files, a real crontab, systemd's own tools. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { ScheduleInstallResult } from '../../src/operations/schedule/request.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { assertFailed, makeBench, type Bench, type RunOptions } from '../helpers/cli/command-run.ts';

/** Of a service user, www-data in Debian. */
const uid = 33;
const asUser = ['/usr/bin/setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];

let bench: Bench;
let root: string;
let count = 0;

before(() => {
  bench = makeBench();
  const { BACKUP_REPOSITORY: _, BACKUP_ENCRYPTION_KEY: _key, BACKUP_STATE_DIR: _state, ...env } = bench.env;
  bench.env = env;
});
after(() => bench?.[Symbol.asyncDispose]());
beforeEach(() => {
  root = join(bench.folder, `root ${count++}`);
  configure(['nightly', 'tidy']);
});

const configFile = (): string => join(bench.folder, 'lifeboat.config.json');
function configure(ids: readonly string[], file = configFile()): void {
  const schedules = ids.map((id) => ({ id, type: 'cleanup', cronExpression: '15 2 * * *', timezone: 'UTC' }));
  writeFileSync(file, JSON.stringify({ schedules }));
}

const install = async (line: string, options: RunOptions & { readonly exitCode?: number } = {}): Promise<string[]> => {
  const words = ['schedule', 'install', ...line.split(' '), '--yes', ...(options.wrapper ? [] : ['--root', root])];
  const result = await bench.json<ScheduleInstallResult>(words, options);
  documents['schedule-install'].parse(result);
  return result.changes.map(({ path, change }) => `${change} ${path.replace(`${root}/`, '')}`);
};

/** Files and links below a folder. */
function below(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((each) => !each.isDirectory()).map(({ parentPath, name }) => join(parentPath, name));
}

test('files for cron: shown, asked about, put in place, brought up to date, and gone without a trace', async () => {
  const words = ['schedule', 'install', '--cron', '--root', root];
  const shown = await bench.run([...words, '--dry-run']);
  assert.match(
    shown.stdout,
    /lifeboat-nightly: would be added\n\+# Written by .*\n(\+.*\n)*\+0,15,30,45 \* \* \* \* root /,
  );
  assertFailed(await bench.run(words), 18, /confirmation is needed: .*lifeboat-tidy will be added/, /--yes/);
  assert.equal(existsSync(root), false);
  assert.deepEqual(await install('--cron'), ['added etc/cron.d/lifeboat-nightly', 'added etc/cron.d/lifeboat-tidy']);
  assert.deepEqual(await install('--cron'), []);
  const file = join(root, 'etc/cron.d/lifeboat-nightly');
  assert.equal(statSync(file).mode & 0o777, 0o644, 'cron wants nobody else to write to it');
  const text = readFileSync(file, 'utf8');
  const before = new Map(below(root).map((path) => [path, readFileSync(path, 'utf8')]));
  // Changed by hand, a schedule that is gone, and a new one.
  writeFileSync(file, text.replace('15,', '16,'));
  configure(['nightly', 'look']);
  assert.deepEqual(await install('--cron'), [
    'changed etc/cron.d/lifeboat-nightly',
    'added etc/cron.d/lifeboat-look',
    'removed etc/cron.d/lifeboat-tidy',
  ]);
  assert.equal(readFileSync(file, 'utf8'), before.get(file));
  // What stands in the environment of a shell is not there when cron calls.
  const told = await bench.run([...words, '--dry-run'], { env: { BACKUP_REPOSITORY: `file://${bench.repository}` } });
  assert.equal(told.exitCode, 3);
  assert.match(told.stdout, /BACKUP_REPOSITORY stand in this environment only/);
  assert.equal((await install('--cron --remove')).length, 2);
  assert.deepEqual(below(root), []);
  assert.deepEqual(await install('--cron --remove'), []);
});

test('services and timers: enabled, verified by systemd itself, and gone without a trace', async () => {
  const units = ['nightly', 'tidy'].flatMap((id) => [`lifeboat-${id}.service`, `lifeboat-${id}.timer`]);
  assert.deepEqual(
    await install('--systemd'),
    units.map((name) => `added etc/systemd/system/${name}`),
  );
  const folder = join(root, 'etc/systemd/system');
  const isEnabled = (): string =>
    execFileSync('systemctl', [`--root=${root}`, 'is-enabled', 'lifeboat-nightly.timer']).toString();
  assert.equal(isEnabled(), 'enabled\n');
  const paths = units.map((name) => join(folder, name));
  assert.equal(String(execFileSync('systemd-analyze', ['verify', '--man=no', ...paths], { stdio: 'pipe' })), '');
  assert.deepEqual(await install('--systemd'), []);
  configure(['nightly']);
  assert.deepEqual(
    await install('--systemd'),
    units.slice(2).map((name) => `removed etc/systemd/system/${name}`),
  );
  assert.equal(isEnabled(), 'enabled\n');
  assert.equal(below(root).length, 3);
  await install('--systemd --remove');
  assert.deepEqual(below(root), []);
});

test('what lifeboat did not write is left alone, and nothing else is changed either', async () => {
  const folder = join(root, 'etc/cron.d');
  mkdirSync(folder, { recursive: true });
  const refused = async (message: RegExp, line = '--cron'): Promise<void> => {
    const before = below(root);
    const words = ['schedule', 'install', ...line.split(' '), '--yes', '--root', root];
    assertFailed(await bench.run(words), 2, message);
    assert.deepEqual(below(root), before);
  };
  const tidy = join(folder, 'lifeboat-tidy');
  writeFileSync(tidy, 'by hand\n');
  await refused(/lifeboat-tidy in place: lifeboat did not write it/);
  assert.deepEqual(await install('--cron --remove'), [], 'nor is it taken out');
  assert.equal(readFileSync(tidy, 'utf8'), 'by hand\n');
  execFileSync('rm', [tidy]);
  await install('--cron');
  const text = readFileSync(tidy, 'utf8');
  // Another user could write what root's cron runs.
  chownSync(tidy, uid, uid);
  await refused(/lifeboat-tidy in place: lifeboat did not write it/);
  chownSync(tidy, 0, 0);
  chmodSync(tidy, 0o666);
  await refused(/lifeboat-tidy in place: lifeboat did not write it/);
  execFileSync('rm', [tidy]);
  const elsewhere = join(bench.folder, 'elsewhere');
  writeFileSync(elsewhere, text);
  symlinkSync(elsewhere, tidy);
  await refused(/lifeboat-tidy in place: lifeboat did not write it/);
  await install('--cron --remove');
  assert.deepEqual([below(root), readFileSync(elsewhere, 'utf8')], [[tidy], text]);
  execFileSync('rm', [tidy]);
  chmodSync(folder, 0o777);
  await refused(/other users can exchange what is in .*cron\.d/);
  chmodSync(folder, 0o755);
  const other = join(bench.folder, 'other.json');
  configure(['tidy'], other);
  await install(`--cron --config ${other}`);
  await refused(/lifeboat-tidy in place: it belongs to another configuration, .*other\.json/);
  configure(['nightly']);
  await install('--cron');
  assert.deepEqual(await install('--cron --remove'), ['removed etc/cron.d/lifeboat-nightly'], 'only its own');
  assert.deepEqual(below(root), [tidy]);
});

test('a user gets lines in the crontab, which keeps all that stands in it, and units of the own manager', async () => {
  const spool = join(bench.folder, 'spool');
  mkdirSync(spool);
  execFileSync('sh', ['-c', 'chown root:crontab "$0" && chmod 1730 "$0"', spool]);
  execFileSync('chown', ['-R', `${uid}:${uid}`, bench.tmp, join(bench.folder, 'home'), configFile()]);
  chmodSync(bench.folder, 0o755);
  const script = `mount --bind "$0" /var/spool/cron/crontabs && exec ${asUser.join(' ')} "$@"`;
  const options = {
    wrapper: ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', script, spool],
    env: { XDG_CACHE_HOME: '' },
  };
  const crontab = (): string => {
    const [name] = readdirSync(spool);
    const text = name === undefined ? '' : readFileSync(join(spool, name), 'utf8');
    return text.replace(/^(# DO NOT EDIT|# \(.* installed on|# \(Cron version).*\n/gm, '');
  };
  assert.deepEqual(await install('--cron', options), ['added the crontab of www-data']);
  assert.match(crontab(), /^# Written by .*\n(#.*\n)*0,15,30,45 \* \* \* \* \/.*--config \S+\n(.*\n)*# End of what/);
  assert.doesNotMatch(crontab(), /MAILTO/);
  assert.deepEqual(await install('--cron', options), []);
  // As crontab -e would leave it: lines before and after.
  const ours = crontab();
  const write = (text: string): void =>
    void execFileSync(options.wrapper[0] ?? '', [...options.wrapper.slice(1), 'crontab', '-'], { input: text });
  write(`MAILTO=me\n${ours}1 1 * * * true\n`);
  configure(['nightly']);
  assert.deepEqual(await install('--cron', options), ['changed the crontab of www-data']);
  assert.match(crontab(), /^MAILTO=me\n# Written by (.*\n)*# End of what .*\n1 1 \* \* \* true\n$/);
  assert.doesNotMatch(crontab(), /tidy/);
  assert.deepEqual(await install('--cron --remove', options), ['changed the crontab of www-data']);
  assert.equal(crontab(), 'MAILTO=me\n1 1 * * * true\n');
  write(ours);
  assert.deepEqual(await install('--cron --remove', options), ['removed the crontab of www-data']);
  assert.deepEqual(readdirSync(spool), []);
  write(ours.replace(/# End of.*/, ''));
  const broken = await bench.run('schedule install --cron --yes', options);
  assertFailed(broken, 2, /the lines around those of lifeboat are not whole/);

  assert.equal((await install('--systemd', { ...options, exitCode: 3 })).length, 2);
  const folder = join(bench.folder, 'home/.config/systemd/user');
  const units = ['service', 'timer'].map((kind) => join(folder, `lifeboat-nightly.${kind}`));
  assert.deepEqual(below(folder).toSorted(), [...units, join(folder, 'timers.target.wants/lifeboat-nightly.timer')]);
  assert.doesNotMatch(readFileSync(units[0] ?? '', 'utf8'), /ProtectClock|network-online/);
  assert.equal(
    String(
      execFileSync('systemd-analyze', ['verify', '--user', '--man=no', ...units], {
        stdio: 'pipe',
        env: { XDG_RUNTIME_DIR: bench.tmp },
      }),
    ),
    '',
  );
  await install('--systemd --remove', options);
  assert.deepEqual(below(folder), []);
});
