/**
 * Throwaway servers run code of whoever owns what is restored into them. What such code can reach of this host is
 * tried from inside one, as root and as a service user; and a whole drill of a database whose constraint tries it.
 */
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { processesOf, systemUsers } from '../../src/lib/free-user.ts';
import type { DoctorResult } from '../../src/operations/doctor/request.ts';
import type { DrillResult } from '../../src/operations/drill/request.ts';
import type { ShowResult } from '../../src/operations/list/request.ts';
import type { StatusResult } from '../../src/operations/status/request.ts';
import { makeBench, testKey, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

const probeProgram = new URL('../helpers/cluster/isolation-probe.ts', import.meta.url).pathname;
const isRoot = process.getuid?.() === 0;
/** Of the live server, as test/helpers/servers has it. */
const nobody = isRoot ? { uid: 65534, gid: 65534 } : {};

let live: TestPostgres;
let bench: Bench;
let spoils: string;
let keyFile: string;

before(async () => {
  live = await startPostgres({ port: 0 });
  bench = makeBench({ DATABASE_URL: live.url('app') });
  chmodSync(bench.folder, 0o755);
  chmodSync(bench.tmp, 0o1777);
  spoils = join(bench.folder, 'spoils');
  mkdirSync(spoils);
  chmodSync(spoils, 0o777);
  keyFile = join(bench.folder, 'key');
  await live.psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE DATABASE app OWNER mallory');
  await live.psql('app', ownersSql(join(spoils, 'owner')));
  await bench.json('init');
  await bench.backup();
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  await live?.stop();
});

/** Each prints its name if it could be done. */
function probe(victim: number): string {
  const psql = join(live.binDir, 'psql');
  const tries: Readonly<Record<string, string>> = {
    'key in an environment': `grep -qs BACKUP_ENCRYPTION_KEY=${testKey} /proc/[0-9]*/environ`,
    'key file': `grep -qs ${testKey} ${keyFile}`,
    'processes of the host': `test -d /proc/${victim}`,
    'a file elsewhere': `touch ${spoils}/written`,
    'names of files': `test -e ${bench.folder}/home`,
    'programs in memory': `kill -9 ${victim}`,
    'socket of a server': `${psql} -h ${live.socketDir} -p ${live.port} -U postgres -c "SELECT 1" postgres`,
    'port of a server': `${psql} -h 127.0.0.1 -p ${live.port} -U postgres -c "SELECT 1" postgres`,
    'more rights': 'unshare --user --map-root-user true',
  };
  const lines = Object.entries(tries).map(([name, line]) => `if ${line} >/dev/null 2>&1; then echo ${name}; fi`);
  return lines.join('; ');
}

async function seenFrom(kind: string, user: { uid?: number; gid?: number }): Promise<string[]> {
  writeFileSync(keyFile, testKey, { mode: 0o600 });
  if (user.uid !== undefined) chownSync(keyFile, user.uid, user.uid);
  const victim = await startVictim();
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [probeProgram, kind, probe(victim.pid ?? 0)], {
      ...user,
      env: { PATH: process.env['PATH'], TMPDIR: bench.tmp, BACKUP_ENCRYPTION_KEY: testKey },
    });
    assert.equal(stdout.includes('a file elsewhere'), existsSync(join(spoils, 'written')));
    return stdout.trim().split('\n');
  } finally {
    victim.kill('SIGKILL');
    rmSync(keyFile);
    rmSync(join(spoils, 'written'), { force: true });
  }
}

async function startVictim(): Promise<ChildProcess> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore', ...nobody });
  await new Promise((resolve) => child.once('spawn', resolve));
  return child;
}

describe('code in a throwaway server', () => {
  for (const [who, user] of [
    ['root', {}],
    ['a service user', nobody],
  ] as const) {
    test(`sees nothing of the host, run by ${who}`, async () => {
      const [kind, ...seen] = await seenFrom('auto', user);
      assert.equal(kind, 'namespaces');
      // Another namespace of users shows nothing of the host either.
      assert.deepEqual(
        seen.filter((each) => each !== 'more rights' || who !== 'root'),
        [],
      );
      assert.deepEqual(readdirSync(bench.tmp), []);
    });
  }

  test('does see it without isolation: what is tried can be done', async () => {
    const [kind, ...seen] = await seenFrom('none', nobody);
    assert.equal(kind, 'none');
    assert.deepEqual(
      seen.filter((each) => each !== 'more rights'),
      [
        'key in an environment',
        'key file',
        'processes of the host',
        'a file elsewhere',
        'names of files',
        'programs in memory',
        'socket of a server',
        'port of a server',
      ],
    );
  });
});

/** Its owner, who has no rights, waits for a superuser to check a constraint. */
function ownersSql(file: string): string {
  return `
    SET SESSION AUTHORIZATION mallory;
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.chk(note text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
      IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat >/dev/null; cat /proc/$PPID/environ >${file}''';
      END IF;
      RETURN true;
    END $$;
    CREATE TABLE evil.t (note text CHECK (evil.chk(note)));
    INSERT INTO evil.t SELECT 'x';`;
}

const drillLine = 'integrity --drill latest';

async function drilled(env: Record<string, string> = {}): Promise<string | undefined> {
  const { backups } = await bench.json<DrillResult>(drillLine, { env });
  assert.deepEqual(
    backups.map(({ result }) => result),
    ['proven'],
  );
  await bench.nothingLeft();
  return backups[0]?.components[0]?.isolation;
}

async function newestEvidence(): Promise<string | undefined> {
  const { evidence } = await bench.json<ShowResult>('show latest');
  return evidence.findLast(({ level }) => level === 'drill')?.isolation;
}

async function doctorSays(env: Readonly<Record<string, string>>): Promise<DoctorResult['checks'][number] | undefined> {
  const { stdout } = await bench.run('doctor --json', { env });
  return (JSON.parse(stdout) as DoctorResult).checks.find(({ name }) => name === 'drill isolation');
}

/** A PATH on which bwrap does what `script` says; undefined: on which there is none. */
function pathWithBwrap(script: string | undefined): string {
  const folder = join(bench.folder, script === undefined ? 'without-bwrap' : 'with-bwrap');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  if (script !== undefined) {
    writeFileSync(join(folder, 'bwrap'), script, { mode: 0o755 });
    return `${folder}:${bench.env['PATH'] ?? ''}`;
  }
  for (const name of readdirSync('/usr/bin')) {
    if (name !== 'bwrap') symlinkSync(join('/usr/bin', name), join(folder, name));
  }
  return folder;
}

const failingBwrap = '#!/bin/sh\necho "bwrap: No permissions to create a new namespace" >&2\nexit 1\n';

test("a drill of a database whose constraint runs its owner's programs proves it, and they get nothing", async () => {
  assert.equal(await drilled(), 'namespaces');
  assert.equal(await newestEvidence(), 'namespaces');
  assert.deepEqual(readdirSync(spoils), []);
  assert.equal((await doctorSays({}))?.ok, 'ok');
});

test('without bubblewrap, or where it may not, a drill is refused, and both ways out are named', async () => {
  for (const [script, why] of [
    [undefined, /bwrap is not installed/],
    [failingBwrap, /No permissions to create a new namespace/],
  ] as const) {
    const PATH = pathWithBwrap(script);
    const { exitCode, stdout } = await bench.run(`${drillLine} --json`, { env: { PATH } });
    assert.equal(exitCode, 16);
    const [component] = (JSON.parse(stdout) as DrillResult).backups[0]?.components ?? [];
    assert.equal(component?.result, 'impossible');
    assert.match(component?.problems.join() ?? '', why);
    assert.match(component?.hint ?? '', /apt-get install bubblewrap.*drill\.user.*BACKUP_DRILL_ISOLATION=none/);
    const check = await doctorSays({ PATH });
    assert.equal(check?.ok, 'warn');
    assert.match(check?.message ?? '', why);
    await bench.nothingLeft();
  }
});

test('accepted without isolation it is made; evidence, show, status, doctor and the drill say so', async () => {
  const env = { BACKUP_DRILL_ISOLATION: 'none', PATH: pathWithBwrap(failingBwrap) };
  assert.equal(await drilled(env), 'none');
  assert.equal(await newestEvidence(), 'none');
  assert.match((await doctorSays(env))?.message ?? '', /without isolation/);
  const { targets } = await bench.json<StatusResult>('status');
  assert.equal(targets[0]?.restoreTime?.isolation, 'none');
  for (const line of ['status', 'show latest']) assert.match((await bench.run(line)).stdout, /without isolation/, line);
  assert.match((await bench.run(drillLine, { env })).stdout, /without isolation/);
  // What fills the throwaway database is no superuser, whatever keeps its server.
  assert.deepEqual(readdirSync(spoils), []);
});

test("a real restore runs the owner's functions as who restores: a superuser, or a role of fewer rights", async () => {
  const line = 'restore latest --only database --no-owner --no-acl --to-url-env RESTORE_URL --to-database';
  await live.psql('postgres', 'CREATE ROLE modest LOGIN CREATEDB');
  await bench.restore(`${line} by_modest`, { env: { RESTORE_URL: live.url('postgres', 'modest') } });
  assert.deepEqual(readdirSync(spoils), []);
  assert.equal(await live.psql('by_modest', 'SELECT count(*) FROM evil.t'), '1\n');
  await bench.restore(`${line} by_superuser`, { env: { RESTORE_URL: live.url('postgres') } });
  assert.deepEqual(readdirSync(spoils), ['owner']);
  rmSync(join(spoils, 'owner'));
});

if (isRoot) {
  const user = systemUsers().find(
    ({ name, uid }) => ['games', 'news', 'uucp', 'lp'].includes(name) && processesOf(uid).length === 0,
  );

  test('root can give drills a system user of their own, which nothing else may use', async () => {
    assert.ok(user !== undefined);
    const env = { BACKUP_DRILL_USER: user.name, PATH: pathWithBwrap(failingBwrap) };
    assert.equal(await drilled(env), 'user');
    assert.equal(await newestEvidence(), 'user');
    assert.deepEqual(processesOf(user.uid), []);
    assert.match((await doctorSays(env))?.message ?? '', new RegExp(`under the system user ${user.name}`));
    const busy = spawn('sleep', ['600'], { stdio: 'ignore', uid: user.uid, gid: user.gid });
    try {
      for (const [wanted, why] of [
        [user.name, /process \d+ \(sleep\) runs under it/],
        ['nobody', /others own files or servers/],
        ['nosuchuser', /there is none/],
      ] as const) {
        const { exitCode, stdout } = await bench.run(`${drillLine} --json`, {
          env: { ...env, BACKUP_DRILL_USER: wanted },
        });
        assert.equal(exitCode, 16);
        assert.match((JSON.parse(stdout) as DrillResult).backups[0]?.components[0]?.problems.join() ?? '', why);
      }
    } finally {
      busy.kill('SIGKILL');
    }
  });
}
