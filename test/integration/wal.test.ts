/** The log of a real server, archived and fetched by the program as the server calls it. Segments of 1 MB. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { runTool } from '../../src/lib/exec.ts';
import type { z } from 'zod';
import { putWal, readWal } from '../../src/repository/wal/archive.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { formatLsn } from '../../src/source/postgres/wal/lsn.ts';
import { segmentName, segmentNumber } from '../../src/source/postgres/wal/file-name.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { walDocuments } from '../../src/ui/json/wal-documents.ts';
import { serverFolder } from '../helpers/servers/postgres.ts';
import { encryption } from '../helpers/repository/repository.ts';
import { runCli } from '../helpers/cli/run-cli.ts';
import {
  keptSegments,
  mib,
  promoted,
  rawKey,
  startArchivingServer,
  startRecovery,
  walCli,
  type ArchivingServer,
} from '../helpers/cluster/wal-server.ts';

const program = new URL('../../bin/lifeboat.js', import.meta.url).pathname;
let archive: ArchivingServer;
before(async () => {
  archive = await startArchivingServer();
});
after(async () => archive?.server.stop());

const objectPath = (name: string): string =>
  join(
    archive.home,
    `repository/wal/${archive.systemId}`,
    name.endsWith('.history') ? 'history' : `${name.slice(0, 8)}/${name.slice(8, 16)}`,
    `${name}.wal`,
  );
const following = (name: string, by = 1n): string =>
  segmentName(Number.parseInt(name.slice(0, 8), 16), segmentNumber(name, mib) + by, mib);

async function load(transactions: number): Promise<void> {
  const { server } = archive;
  await runTool({
    file: join(server.binDir, 'pgbench'),
    args: ['-n', '-c', '2', '-t', String(transactions), 'postgres'],
    env: server.env,
  });
}

/** These segments are in the archive with the content that the server still has. */
async function checkStored(names: readonly string[]): Promise<void> {
  const { server, systemId } = archive;
  const repository = await openRepository(
    openLocalStorage(join(archive.home, 'repository')),
    encryption({ key: rawKey }),
    join(archive.home, 'other-state'),
  );
  for (const name of names) {
    assert.ok(
      (await readWal(repository, systemId, name)).equals(readFileSync(join(server.dataDir, 'pg_wal', name))),
      `${name} differs`,
    );
  }
}

/** The same for every segment that the server knows to be archived; there is no gap. */
async function checkArchive(): Promise<string[]> {
  const segments = keptSegments(archive.server);
  for (const [n, name] of segments.entries()) {
    if (n > 0) assert.equal(name, following(segments[n - 1] ?? ''), 'the server itself passed one over');
  }
  await checkStored(segments);
  return segments;
}

const digest = "SELECT count(*) || ' ' || sum(hashtextextended(a::text, 0)) FROM pgbench_accounts a";

test('archived under load without a gap; a copy recovers from it to the same rows', async () => {
  const { server, owner, recipe } = archive;
  await runTool({ file: join(server.binDir, 'pgbench'), args: ['-i', '-q', '-s', '1', 'postgres'], env: server.env });
  const folder = serverFolder(server, 'copy');
  const dataDir = join(folder, 'data');
  const socketDir = serverFolder(server, 'copy-socket');
  await runTool({
    file: join(server.binDir, 'pg_basebackup'),
    args: ['-D', dataDir, '-X', 'none', '-c', 'fast', '--no-sync'],
    env: server.env,
    ...owner,
    cwd: folder,
  });
  await load(300);
  await archive.archived();
  assert.ok((await checkArchive()).length > 3);
  const wanted = await server.psql('postgres', digest);
  const recovering = await startRecovery(archive, dataDir, socketDir, [recipe.restoreCommand]);
  try {
    await promoted(recovering);
    assert.equal(await recovering.value(digest), wanted.trim());
    assert.match(recovering.log(), /restored log file/);
  } finally {
    recovering.running.kill('SIGQUIT');
    await recovering.running.result.catch(() => {});
  }
  assert.deepEqual(
    readdirSync(join(dataDir, 'pg_wal')).filter((name) => /lifeboat|tmp/.test(name)),
    [],
  );
});

test('what is killed at random moments loses no segment that it acknowledged', async () => {
  const { server, owner, recipe } = archive;
  // Not by way of the archiver: it pauses for ten seconds after each death.
  await server.query('postgres', "ALTER SYSTEM SET archive_command = ''");
  await server.query('postgres', 'SELECT pg_reload_conf()');
  for (let n = 0; n < 5; n++) {
    await server.query(
      'postgres',
      'CREATE TABLE IF NOT EXISTS t (n int); INSERT INTO t VALUES (1); SELECT pg_switch_wal()',
    );
  }
  const ready = readdirSync(join(server.dataDir, 'pg_wal/archive_status'))
    .filter((name) => /^[0-9A-F]{24}\.ready$/.test(name))
    .map((name) => name.slice(0, 24))
    .toSorted();
  assert.ok(ready.length >= 5);
  const notes = join(archive.home, 'shipped');
  for (let round = 0; round < 5; round++) {
    const push = spawn(program, ['wal', 'push', '--config', archive.config, '--shipped', notes, `pg_wal/${ready[0]}`], {
      ...owner,
      cwd: server.dataDir,
      env: { PATH: '/usr/bin:/bin' },
      stdio: 'ignore',
    });
    const ended = once(push, 'close');
    await sleep(150 + Math.random() * 500);
    push.kill('SIGKILL');
    const [code] = (await ended) as [number | null];
    const noted = existsSync(notes) ? readdirSync(notes) : [];
    await checkStored([...noted, ...(code === 0 ? ready.slice(0, 1) : [])]);
    assert.deepEqual(noted.toSorted(), ready.slice(1, 1 + noted.length), 'noted beyond a gap');
  }
  await server.query('postgres', `ALTER SYSTEM SET ${recipe.archiveCommand}`);
  await server.query('postgres', 'SELECT pg_reload_conf()');
  await archive.archived();
  await checkArchive();
});

test('the same again is fine, another content or another cluster is refused, and nothing is changed', async () => {
  const { server } = archive;
  const name = keptSegments(server)[2] ?? '';
  const original = readFileSync(join(server.dataDir, 'pg_wal', name));
  const stored = readFileSync(objectPath(name));
  const again = await walCli(archive, ['push', `pg_wal/${name}`, '--json']);
  assert.equal(again.exitCode, 0, again.stderr);
  assert.ok(['present', 'shipped'].includes((JSON.parse(again.stdout) as { outcome: string }).outcome));
  const elsewhere = join(archive.home, 'elsewhere');
  mkdirSync(join(elsewhere, 'pg_wal'), { recursive: true });
  const push = async (change: (bytes: Buffer) => void, as = name): Promise<readonly [number, string]> => {
    const bytes = Buffer.from(original);
    change(bytes);
    writeFileSync(join(elsewhere, 'pg_wal', as), bytes);
    const { exitCode, stderr } = await runCli(['wal', 'push', `pg_wal/${as}`, '--config', archive.config], {
      cwd: elsewhere,
    });
    return [exitCode, stderr];
  };
  const refusals: [(bytes: Buffer) => void, RegExp, string?][] = [
    [
      (bytes) => bytes.writeUInt8(bytes.readUInt8(mib - 1) ^ 1, mib - 1),
      /in the repository already, with another content/,
    ],
    [(bytes) => bytes.writeUInt16LE(0xd098, 0), /magic number D098/],
    [(bytes) => bytes.writeUInt32LE(7, 4), /begins on timeline 7/],
    [() => {}, /its first page is that of position/, following(name)],
    [(bytes) => bytes.writeUInt32LE(16 * mib, 32), /it has 1048576 bytes, not 16777216/],
    [
      (bytes) => bytes.writeBigUInt64LE(42n, 24),
      /cluster with system identifier 42, but the archive of target main is that of \d{10,}/,
    ],
  ];
  for (const [change, message, as] of refusals) {
    const [exitCode, stderr] = await push(change, as);
    assert.match(stderr, message);
    assert.ok(exitCode > 0 && exitCode < 126, `${exitCode}`);
  }
  assert.ok(readFileSync(objectPath(name)).equals(stored));
  assert.equal(existsSync(join(archive.home, 'repository/wal/42')), false);
  for (const as of ['nonsense', '000000010000000000000001.0000000000100000.partial']) {
    assert.equal((await walCli(archive, ['push', `pg_wal/${as}`])).exitCode, 2);
  }
});

test('what the server sees of wal fetch: delivered, proven absent, or trouble', async () => {
  const { server, home } = archive;
  const segments = keptSegments(server);
  const [first = '', second = '', third = ''] = segments;
  const last = segments.at(-1) ?? '';
  const to = join(server.dataDir, 'pg_wal/RECOVERYXLOG');
  const fetch = async (name: string, env: Record<string, string> = {}, ...flags: string[]): Promise<number> => {
    rmSync(to, { force: true });
    const { exitCode, stderr } = await walCli(archive, ['fetch', name, 'pg_wal/RECOVERYXLOG', ...flags], {
      BACKUP_STATE_DIR: join(home, `fetch-state-${Math.random()}`),
      ...env,
    });
    assert.equal(existsSync(to), exitCode === 0, `${exitCode} ${stderr}`);
    return exitCode;
  };
  assert.equal(await fetch(second), 0);
  assert.ok(readFileSync(to).equals(readFileSync(join(server.dataDir, 'pg_wal', second))));
  assert.equal(await fetch(following(last)), 1);
  assert.equal(await fetch('00000002.history'), 1);
  assert.equal(await fetch(following(last), { BACKUP_REPOSITORY: 'file:///nowhere' }), 200);
  assert.equal(await fetch(first, { BACKUP_ENCRYPTION_KEY: 'e5'.repeat(32) }), 200);
  assert.equal(await fetch(first, { BACKUP_JOBS: 'many' }), 200);
  assert.equal(await fetch('nonsense'), 200);
  const path = objectPath(second);
  const bytes = readFileSync(path);
  for (const harmed of [
    bytes.subarray(0, 1000),
    Buffer.concat([bytes.subarray(0, 500), Buffer.from([(bytes[500] ?? 0) ^ 1]), bytes.subarray(501)]),
  ]) {
    writeFileSync(path, harmed);
    assert.equal(await fetch(second), 200);
    assert.equal(await fetch(first), 0, 'what is damaged ahead does not matter yet');
  }
  renameSync(path, `${path}.away`);
  assert.equal(await fetch(second), 200, 'a gap');
  assert.equal(await fetch(second, {}, '--standby'), 1, 'a standby can stream it');
  renameSync(`${path}.away`, path);
  writeFileSync(path, bytes);
  assert.equal(await fetch(third), 0);
});

test('segments are fetched ahead, verified, handed out once, and never to another place', async () => {
  const { server, home } = archive;
  const segments = keptSegments(server);
  const env = { BACKUP_STATE_DIR: join(home, 'ahead') };
  const from = async (name: string, to: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await walCli(archive, ['fetch', name, to, '--json'], env);
    assert.equal(exitCode, 0, `${stdout}${stderr}`);
    assert.ok(readFileSync(join(server.dataDir, to)).equals(readFileSync(join(server.dataDir, 'pg_wal', name))));
    return (JSON.parse(stdout) as { from: string }).from;
  };
  const [a = '', b = '', c = '', d = ''] = segments;
  const [to, other] = ['pg_wal/RECOVERYXLOG', 'pg_wal/OTHER'];
  assert.deepEqual(
    [await from(a, to), await from(b, to), await from(c, other), await from(c, to), await from(c, to)],
    ['repository', 'spool', 'repository', 'spool', 'repository'],
  );
  const away = join(home, 'repository-away');
  renameSync(join(home, 'repository'), away);
  try {
    assert.equal(await from(d, to), 'spool', 'without asking the repository');
  } finally {
    renameSync(away, join(home, 'repository'));
  }
  for (const name of [to, other]) rmSync(join(server.dataDir, name));
});

test('a timeline whose history is missing is a gap, not the end', async () => {
  const { server, home } = archive;
  const env = { BACKUP_STATE_DIR: join(home, 'history-state') };
  const fetch = async (): Promise<number> =>
    (await walCli(archive, ['fetch', '00000002.history', 'pg_wal/RECOVERYHISTORY'], env)).exitCode;
  assert.equal(await fetch(), 1);
  const later = join(home, '00000003.history');
  const archived = join(home, 'data-of-3');
  cpSync(join(server.dataDir, 'global/pg_control'), join(archived, 'global/pg_control'));
  mkdirSync(join(archived, 'pg_wal'));
  writeFileSync(later, '1\t0/1000000\tno reason\n2\t0/2000000\tno reason\n');
  cpSync(later, join(archived, 'pg_wal/00000003.history'));
  const pushed = await runCli(['wal', 'push', 'pg_wal/00000003.history', '--config', archive.config], {
    cwd: archived,
  });
  assert.equal(pushed.exitCode, 0, pushed.stderr);
  assert.equal(await fetch(), 200);
  rmSync(objectPath('00000003.history'));
  assert.equal(await fetch(), 1);
});

test('wal status: the window, gaps within and between timelines, missing histories, what the server says', async () => {
  const { server } = archive;
  const segments = keptSegments(server);
  const [first = '', second = ''] = segments;
  const status = async (): Promise<{
    code: number;
    text: string;
    found: z.infer<(typeof walDocuments)['wal-status']>;
  }> => {
    const { exitCode, stdout, stderr } = await walCli(archive, ['status', '--json'], { DATABASE_URL: server.url() });
    const text = (await walCli(archive, ['status'])).stdout;
    return { code: exitCode, text: text + stderr, found: walDocuments['wal-status'].parse(JSON.parse(stdout)) };
  };
  const whole = await status();
  assert.equal(whole.code, 0, whole.text);
  const [system] = whole.found.systems;
  assert.deepEqual(
    [
      system?.systemId,
      system?.segmentBytes,
      system?.timelines[0]?.first,
      system?.timelines[0]?.last,
      system?.timelines[0]?.segments,
    ],
    [archive.systemId, mib, first, segments.at(-1), segments.length],
  );
  assert.equal(whole.found.lag?.systemId, archive.systemId);
  assert.ok((whole.found.lag?.lastArchived ?? '').startsWith('00000001'));
  renameSync(objectPath(second), `${objectPath(second)}.away`);
  const two = (segments.at(-1) ?? '').replace('00000001', '00000002');
  const later = following(two, 2n);
  const repository = await openRepository(
    openLocalStorage(join(archive.home, 'repository')),
    encryption({ key: rawKey }),
    join(archive.home, 'other-state'),
  );
  const plain = { sealing: await repository.writeKey(), compression: { method: 'none', level: 0 } } as const;
  await putWal(repository, archive.systemId, later, Buffer.alloc(mib, 1), plain);
  const broken = await status();
  assert.equal(broken.code, 14);
  assert.deepEqual(broken.found.systems[0]?.gaps, [{ first: second, last: second, segments: 1 }]);
  assert.deepEqual(broken.found.systems[0]?.missingHistories, ['00000002.history']);
  assert.match(broken.text, /GAP: .*\n +MISSING: 00000002\.history/);
  renameSync(`${objectPath(second)}.away`, objectPath(second));
  const switchLsn = formatLsn(segmentNumber(following(two), mib) * BigInt(mib) + 40n);
  const history = Buffer.from(`1\t${switchLsn}\tno reason\n`);
  await putWal(repository, archive.systemId, '00000002.history', history, plain);
  const atSwitch = await status();
  assert.deepEqual(
    atSwitch.found.systems[0]?.gaps,
    [{ first: following(two), last: following(two), segments: 1 }],
    'the segment of the switch itself',
  );
  for (const name of [later, '00000002.history']) rmSync(objectPath(name));
  assert.equal((await status()).code, 0);
});

test('the program itself never says "no more log" by accident', () => {
  const { server } = archive;
  const call = (args: readonly string[], env: Record<string, string>): number | null =>
    spawnSync(program, args, { cwd: server.dataDir, env: { PATH: '/usr/bin:/bin', ...env } }).status;
  assert.equal(call(['--config', '/nowhere', 'wal', 'fetch', '000000010000000000000001', 'x'], {}), 200);
  assert.equal(call(['wal', 'fetch'], {}), 200);
  assert.equal(call(['wal', 'push', '--config', '/nowhere', 'x'], {}), 2);
  // A bug, as it would be: something throws outside of all that is awaited.
  const broken = `data:text/javascript,setTimeout(() => { throw new Error("broken") })`;
  assert.equal(
    call(['wal', 'fetch', '000000010000000000000001', 'x', '--config', archive.config], {
      NODE_OPTIONS: `--import=${encodeURI(broken)}`,
    }),
    200,
  );
});
