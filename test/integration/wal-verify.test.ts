/**
 * Archived log that is not what was stored: every check finds it, names the object, and says what it costs. Segments of
 * 1 MB.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { doctor } from '../../src/operations/doctor/doctor.ts';
import { accountRepository } from '../../src/operations/integrity/integrity.ts';
import { status } from '../../src/operations/status/status.ts';
import { validate } from '../../src/operations/validate/validate.ts';
import type { ValidateRequest, ValidateResult } from '../../src/operations/validate/request.ts';
import { walStatus } from '../../src/operations/wal/status.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { putWal } from '../../src/repository/wal/archive.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { quiet, startPitrCluster, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';
import { rawKey, walCli } from '../helpers/cluster/wal-server.ts';
import { encryption } from '../helpers/repository/repository.ts';

let cluster: PitrCluster;
let root: string;
let kept: string;
let baseId: string;
/** Keys of segments: one of the base backup's own, and some behind it. */
let own: string;
let later: string[];

before(async () => {
  cluster = await startPitrCluster();
  root = join(cluster.home, 'repository');
  kept = join(cluster.home, 'kept');
  const { server } = cluster;
  await server.query('postgres', 'CREATE TABLE t(i int)');
  baseId = await cluster.base();
  for (let n = 0; n < 4; n++) {
    await server.query('postgres', `INSERT INTO t SELECT generate_series(1, 3000)`);
    await cluster.archived();
  }
  await server.query('postgres', "ALTER SYSTEM SET archive_command = ''");
  await server.query('postgres', 'SELECT pg_reload_conf()');
  const segments = readdirSync(join(root, 'wal'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\/[0-9A-F]{24}\.wal$/.test(name))
    .map((name) => `wal/${name}`)
    .toSorted();
  const label = readdirSync(join(root, 'wal', cluster.systemId, 'history')).find((name) => name.includes('.backup'));
  const first = label?.slice(0, 24) ?? '';
  const at = segments.findIndex((key) => key.includes(first));
  own = segments[at] ?? '';
  later = segments.slice(at + 2);
  assert.ok(own !== '' && later.length >= 3);
  cpSync(root, kept, { recursive: true, preserveTimestamps: true });
});
afterEach(() => {
  rmSync(root, { recursive: true });
  cpSync(kept, root, { recursive: true, preserveTimestamps: true });
  rmSync(join(cluster.loaded.config.stateDir, 'repositories'), { recursive: true, force: true });
});
after(async () => cluster?.[Symbol.asyncDispose]());

const at = (key: string): string => join(root, key);
const harms: Readonly<Record<string, (key: string, other: string) => void>> = {
  emptied: (key) => truncateSync(at(key), 0),
  truncated: (key) => truncateSync(at(key), Math.floor(statSync(at(key)).size / 2)),
  flipped: (key) => {
    const bytes = readFileSync(at(key));
    const place = Math.floor(bytes.length / 2);
    bytes[place] = (bytes[place] ?? 0) ^ 1;
    writeFileSync(at(key), bytes);
  },
  exchanged: (key, other) => cpSync(at(other), at(key)),
  'cut by a byte': (key) => truncateSync(at(key), statSync(at(key)).size - 1),
  lost: (key) => rmSync(at(key)),
};

const validated = async (request: Partial<ValidateRequest> = {}): Promise<ValidateResult> =>
  validate(cluster.loaded, { ids: [], all: true, level: 'stored', ...request }, quiet);
const accounted = async (logPercent = 100): ReturnType<typeof accountRepository> =>
  accountRepository(cluster.loaded, { logPercent }, quiet);
const faultsOf = async (logPercent = 100): Promise<string[]> =>
  (await accounted(logPercent)).findings.filter(({ weight }) => weight === 'fault').map(({ object }) => object);

test('log that is whole is whole to every check, and counted', async () => {
  for (const level of ['quick', 'stored', 'deep'] as const) {
    const { damaged, counts, warnings, backups } = await validated({ level });
    assert.deepEqual([damaged, warnings, backups[0]?.result], [[], [], 'ok'], level);
    assert.ok((counts['logFiles'] ?? 0) > 5);
  }
  const { findings, log } = await accounted();
  assert.deepEqual(findings, []);
  assert.ok(log.files > 5 && log.bytes > 0);
  assert.deepEqual((await walStatus(cluster.loaded, {}, quiet)).systems[0]?.damaged, []);
});

for (const [name, harm] of Object.entries(harms)) {
  test(`${name}: validate, integrity, and afterwards wal status, status and doctor name the object`, async () => {
    const [key = '', other = ''] = later;
    harm(key, other);
    const quick = await validated({ level: 'quick' });
    const isSizeOnly = name !== 'flipped' && name !== 'exchanged';
    assert.deepEqual(
      quick.damaged.map(({ object }) => object),
      isSizeOnly ? [key] : [],
    );
    for (const level of ['stored', 'deep'] as const) {
      const { damaged } = await validated({ level });
      assert.deepEqual(
        damaged.map(({ object, backups }) => [object, backups]),
        [[key, []]],
        level,
      );
    }
    assert.deepEqual(await faultsOf(), [key]);
    const [system] = (await walStatus(cluster.loaded, {}, quiet)).systems;
    const verdict = await status(cluster.loaded, { days: 30 }, quiet);
    assert.equal(verdict.verdict, 'unhealthy');
    assert.equal(system?.gaps.length, 1, 'what cannot be used is missing');
    if (name === 'lost') return;
    assert.deepEqual(
      system?.damaged.map(({ object }) => object),
      [key],
    );
    assert.ok(verdict.reasons.some(({ id }) => id === `wal-damaged:${cluster.systemId}:${key}`));
    const { checks } = await doctor(cluster.loaded, {}, quiet);
    assert.ok(checks.some(({ ok, message }) => ok === 'fail' && message.includes(key)));
  });
}

describe('what it costs', () => {
  test('a segment of the base backup itself: none of that can be restored, and the evidence says so', async () => {
    harms['truncated']?.(own, '');
    const { damaged, backups } = await validated({ ids: [baseId], all: false });
    assert.deepEqual(
      damaged.map(({ object, backups: touched }) => [object, touched.map(({ id, whole }) => [id, whole])]),
      [[own, [[baseId, true]]]],
    );
    assert.equal(backups[0]?.result, 'failed');
    const [finding] = (await accounted()).findings;
    assert.deepEqual([finding?.object, finding?.backups, finding?.weight], [own, [baseId], 'fault']);
  });

  test('all of wal/ is gone: the base backup is named', async () => {
    rmSync(join(root, 'wal'), { recursive: true });
    const { damaged } = await validated({ level: 'quick' });
    assert.deepEqual(
      damaged.map(({ backups }) => backups.map(({ id }) => id)),
      [[baseId]],
    );
    assert.match(damaged[0]?.object ?? '', /^wal\/\d+\/00000001\//);
    assert.equal((await faultsOf()).length, 1);
  });

  test('before the oldest base backup: a warning', async () => {
    const segments = readdirSync(join(kept, 'wal', cluster.systemId, '00000001/00000000')).toSorted();
    const early = `wal/${cluster.systemId}/00000001/00000000/${segments[0] ?? ''}`;
    assert.ok(early < own);
    harms['flipped']?.(early, '');
    const { findings } = await accounted();
    assert.equal((await walStatus(cluster.loaded, {}, quiet)).systems[0]?.damaged[0]?.object, early);
    assert.deepEqual(
      findings.map(({ weight, object }) => [weight, object]),
      [['warning', early]],
    );
  });
});

test('each night another share: all is read after as many nights as there are parts', async () => {
  const [key = ''] = later;
  harms['flipped']?.(key, '');
  const found: string[][] = [];
  let files = 0;
  for (let night = 0; night < 4; night++) {
    const { log, findings } = await accounted(25);
    files += log.files;
    found.push(findings.map(({ object }) => object));
  }
  const all = (await accounted()).log.files;
  assert.equal(files, all, 'none twice, none left out');
  assert.deepEqual(found.at(-1), [key], 'what was found in an earlier night is told again');
});

describe('a push of what the repository has in another form', () => {
  const segmentOf = (key: string): string => key.slice(-'000000010000000000000001.wal'.length, -'.wal'.length);
  const push = async (key: string): ReturnType<typeof walCli> =>
    walCli(cluster, [
      'push',
      join(cluster.server.dataDir, 'pg_wal', segmentOf(key)),
      '--shipped',
      join(cluster.home, 'notes'),
    ]);

  test('an empty object is replaced, and that is said', async () => {
    const [key = ''] = later;
    const before = readFileSync(at(key)).length;
    harms['emptied']?.(key, '');
    const { exitCode, stderr } = await push(key);
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /was an empty object/);
    assert.ok(readFileSync(at(key)).length > before / 2);
    assert.deepEqual((await validated()).damaged, []);
  });

  for (const name of ['truncated', 'flipped', 'exchanged']) {
    test(`${name}: it stays, and the way out is said and works`, async () => {
      const [key = '', other = ''] = later;
      harms[name]?.(key, other);
      const stands = readFileSync(at(key));
      const { exitCode, stderr } = await push(key);
      assert.equal(exitCode, 14, stderr);
      assert.match(stderr, new RegExp(`move ${key} out of the repository`));
      assert.deepEqual(readFileSync(at(key)), stands);
      renameSync(at(key), join(kept, 'aside'));
      assert.equal((await push(key)).exitCode, 0);
      rmSync(join(kept, 'aside'));
      assert.deepEqual((await validated()).damaged, []);
    });
  }
});

test('authentic, but not what its name says: pages of another place, a damaged record', async () => {
  const [key = '', second = ''] = later;
  const repository = await openRepository(
    openLocalStorage(root),
    encryption({ key: rawKey }),
    cluster.loaded.config.stateDir,
  );
  const store = async (object: string, change: (body: Buffer) => void): Promise<void> => {
    const name = object.slice(-28, -4);
    const body = readFileSync(join(cluster.server.dataDir, 'pg_wal', name));
    change(body);
    rmSync(at(object));
    const options = { sealing: await repository.writeKey(), compression: { method: 'zstd', level: 3 } } as const;
    await putWal(repository, cluster.systemId, name, body, options);
  };
  await store(key, (body) => body.copy(body, 8192, 16_384, 24_576));
  await store(second, (body) => body.fill(0x5a, 100, 140));
  assert.deepEqual((await validated({ level: 'stored' })).damaged, [], 'the bytes are those that were stored');
  const { damaged } = await validated({ level: 'deep' });
  assert.deepEqual(
    damaged.map(({ object, kind }) => [object, kind]),
    [
      [key, 'content'],
      [second, 'content'],
    ],
  );
});

describe('restore_command where log that base backups need is gone', () => {
  const fetched = async (name: string, ...flags: string[]): Promise<number> =>
    (await walCli(cluster, ['fetch', name, join(cluster.home, 'fetched'), '--system-id', cluster.systemId, ...flags]))
      .exitCode;
  const nameOf = (key: string): string => key.slice(-28, -4);
  const behind = (): string => {
    const last = nameOf(later.at(-1) ?? '');
    return last.slice(0, 16) + (Number.parseInt(last.slice(16), 16) + 1).toString(16).toUpperCase().padStart(8, '0');
  };

  test('the end of the log is the end', async () => {
    assert.deepEqual(
      [await fetched(nameOf(own)), await fetched(behind()), await fetched('00000002.history')],
      [0, 1, 1],
    );
  });

  test('all of wal/: no file is called absent, unless the server itself can fill the gap', async () => {
    rmSync(join(root, 'wal'), { recursive: true });
    for (const name of [nameOf(own), behind(), '00000002.history']) {
      assert.ok((await fetched(name)) >= 126, name);
    }
    assert.equal(await fetched(nameOf(own), '--standby'), 1);
  });

  test('all from the base backup on', async () => {
    for (const key of [own, ...later]) rmSync(at(key));
    rmSync(
      at(own.replace(/.{8}\.wal$/, (name) => `${(Number.parseInt(name, 16) + 1).toString(16).padStart(8, '0')}.wal`)),
      { force: true },
    );
    assert.ok((await fetched(nameOf(own))) >= 126);
  });

  test('segments only: what is left are histories and labels', async () => {
    rmSync(join(root, 'wal', cluster.systemId, '00000001'), { recursive: true });
    assert.ok((await fetched(nameOf(own))) >= 126);
    assert.ok((await fetched('00000002.history')) >= 126);
  });
});
