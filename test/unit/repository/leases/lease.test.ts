import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LifeboatError } from '../../../../src/lib/errors.ts';
import { breakLease, judgedLeases, markDeadLeases } from '../../../../src/repository/leases/break.ts';
import { listLeases } from '../../../../src/repository/leases/record.ts';
import { acquireLease } from '../../../../src/repository/leases/acquire.ts';
import { openLocalStorage } from '../../../../src/storage/local/local.ts';
import { StorageError } from '../../../../src/storage/storage.ts';

const base = mkdtempSync(join(tmpdir(), 'leases-'));
after(() => rmSync(base, { recursive: true, force: true }));
let folder = '';
let storage = openLocalStorage(base);
beforeEach(() => {
  folder = mkdtempSync(join(base, 'r-'));
  storage = openLocalStorage(folder);
});

const quick = { backOffMs: [1, 20] as const, tickMs: 5, renewMs: 20, pollMs: 10 };
const file = (scope: string, name: string): string => join(folder, 'locks', scope, name);
/** Objects only: a renewal on its way has a temporary file with a leading dot. */
const files = (scope: string): string[] =>
  existsSync(file(scope, '')) ? readdirSync(file(scope, '')).filter((name) => !name.startsWith('.')) : [];

interface Holder {
  readonly pid: number;
  readonly lines: string[];
  readonly acquired: Promise<void>;
  readonly ended: Promise<number | null>;
  kill(): void;
}

function holder(scope: string, holdMs: number): Holder {
  const child = spawn(
    process.execPath,
    [new URL('../../../helpers/repository/lease-holder.ts', import.meta.url).pathname, folder, scope, String(holdMs)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines: string[] = [];
  let heard = (): void => {};
  const acquired = new Promise<void>((resolve) => (heard = resolve));
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line);
    if (line === 'acquired') heard();
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { pid: child.pid ?? 0, lines, acquired, ended, kill: () => void child.kill('SIGKILL') };
}

/** Makes a lease look as if it had last been renewed so long ago. */
function age(scope: string, name: string, ms: number): void {
  const then = new Date(Date.now() - ms);
  utimesSync(file(scope, name), then, then);
}

/** A lease of some other host. */
function foreignLease(scope: string, id: string, fields: object = {}): void {
  writeFileSync(
    file(scope, `${id}.json`),
    JSON.stringify({
      id,
      scope,
      command: 'backup full',
      host: 'elsewhere',
      bootId: 'x',
      pidNamespace: 'pid:[1]',
      pid: 77,
      processStart: '5',
      user: 'ops',
      since: '2026-01-02T03:04:05Z',
      parents: ['p'],
      ...fields,
    }),
  );
}

test('one holder at a time; the other is told all that is known, and leaves nothing behind', async () => {
  const lease = await acquireLease(storage, {
    scope: 'backup-main',
    command: 'backup full',
    parents: ['p1'],
    times: quick,
  });
  const error = (await acquireLease(storage, { scope: 'backup-main', command: 'backup', times: quick }).catch(
    (caught: unknown) => caught,
  )) as LifeboatError;
  assert.equal(error.code, 'locked');
  assert.equal(error.exitCode, 11);
  const facts = error.facts?.['lease'] as Record<string, unknown>;
  assert.equal(facts['id'], lease.id);
  for (const name of [
    'scope',
    'command',
    'host',
    'bootId',
    'pidNamespace',
    'pid',
    'processStart',
    'user',
    'since',
    'parents',
    'renewedAt',
  ]) {
    assert.ok(name in facts, name);
  }
  assert.match(error.message, new RegExp(`backup-main is locked by "backup full" of .*pid ${process.pid}`));
  assert.deepEqual(files('backup-main'), [`${lease.id}.json`]);
  await using apart = await acquireLease(storage, { scope: 'backup-other', command: 'backup', times: quick });
  assert.equal(apart.scope, 'backup-other');
  await lease[Symbol.asyncDispose]();
  await using next = await acquireLease(storage, { scope: 'backup-main', command: 'backup', times: quick });
  await next.check();
});

test('readers share', async () => {
  await using one = await acquireLease(storage, { scope: 'read', command: 'validate' });
  await using two = await acquireLease(storage, { scope: 'read', command: 'export' });
  await one.check();
  await two.check();
  assert.equal(files('read').length, 2);
});

test('of many processes that try at once never two hold it, and all that hold it do so in turn', async () => {
  const holders = Array.from({ length: 6 }, () => holder('cleanup', 150));
  // A holder that finds another one inside fails (see lease-holder.ts).
  assert.deepEqual(
    await Promise.all(holders.map(({ ended }) => ended)),
    holders.map(() => 0),
  );
  const winners = holders.filter(({ lines }) => lines.includes('acquired'));
  assert.ok(winners.length >= 1, JSON.stringify(holders.map(({ lines }) => lines)));
  for (const { lines } of holders) {
    if (lines[0] === 'acquired') assert.deepEqual(lines, ['acquired', 'released']);
    else assert.match(lines.join(), /^locked [0-9a-f]{16}$/);
  }
  assert.deepEqual(files('cleanup'), []);
});

test('no two processes are inside at the same time, whatever the timing', async () => {
  // Each holder would meet the file of another one that is inside.
  const inside = join(folder, 'inside');
  let entered = 0;
  const contend = async (n: number): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      try {
        await using lease = await acquireLease(storage, {
          scope: 'keys',
          command: `c${n}`,
          waitMs: 20_000,
          times: { backOffMs: [1, 40], pollMs: 5 },
        });
        writeFileSync(inside, lease.id, { flag: 'wx' });
        await sleep(Math.random() * 4);
        rmSync(inside);
        entered++;
      } catch (error) {
        if ((error as LifeboatError).code !== 'locked') throw error;
      }
    }
  };
  await Promise.all([1, 2, 3].map(contend));
  assert.ok(entered >= 12, `only ${entered} of 18 got in`);
});

test('waiting gets the lease once it is free, or gives up when the time is over', async () => {
  const held = holder('backup-main', 3000);
  await held.acquired;
  await assert.rejects(acquireLease(storage, { scope: 'backup-main', command: 'b', waitMs: 60, times: quick }), {
    code: 'locked',
  });
  await using lease = await acquireLease(storage, { scope: 'backup-main', command: 'b', waitMs: 20_000, times: quick });
  await lease.check();
  assert.deepEqual(held.lines, ['acquired', 'released']);
  const abort = new AbortController();
  const waiting = acquireLease(storage, {
    scope: 'backup-main',
    command: 'b',
    waitMs: 20_000,
    times: { ...quick, pollMs: 10_000 },
    signal: abort.signal,
  });
  setTimeout(() => abort.abort(new Error('stopped')), 50);
  await assert.rejects(waiting, /stopped/);
  assert.deepEqual(files('backup-main'), [`${lease.id}.json`]);
});

test('the lease of a killed process is passed over at once, with a mark', async () => {
  const held = holder('backup-main', 60_000);
  await held.acquired;
  const [name = ''] = files('backup-main');
  held.kill();
  await held.ended;
  await using lease = await acquireLease(storage, { scope: 'backup-main', command: 'next', times: quick });
  assert.deepEqual(files('backup-main').toSorted(), [`${lease.id}.json`, name.replace('.json', '.broken')].toSorted());
  assert.match(readFileSync(file('backup-main', name.replace('.json', '.broken')), 'utf8'), /"was": "gone"/);
});

test('a pid of another process now counts as gone; one of another host, boot or namespace does not', async () => {
  await using own = await acquireLease(storage, { scope: 'backup-main', command: 'x', times: quick });
  const record = JSON.parse(readFileSync(file('backup-main', `${own.id}.json`), 'utf8')) as Record<string, unknown>;
  const cases: [string, object, string][] = [
    ['a1', { ...record, processStart: '1' }, 'gone'],
    ['a2', { ...record, processStart: '1', host: 'other' }, 'live'],
    ['a3', { ...record, processStart: '1', bootId: 'other' }, 'live'],
    ['a4', { ...record, processStart: '1', pidNamespace: 'other' }, 'live'],
    ['a5', record, 'live'],
  ];
  for (const [id, fields] of cases) foreignLease('backup-main', id, { ...fields, id });
  const { leases } = await listLeases(storage, 'backup-main');
  for (const [id, , status] of cases) assert.equal(leases.find((each) => each.id === id)?.status, status, id);
});

test('a lease of another host holds for 30 minutes by the storage stamps, and no longer', async () => {
  await storage.put('locks/backup-main/old.json', [Buffer.from('{}')]);
  foreignLease('backup-main', 'old');
  age('backup-main', 'old.json', 29 * 60_000);
  await assert.rejects(acquireLease(storage, { scope: 'backup-main', command: 'b', times: quick }), {
    code: 'locked',
    message: /"backup full" of ops@elsewhere \(pid 77, since 2026-01-02T03:04:05Z\)/,
  });
  age('backup-main', 'old.json', 31 * 60_000);
  await using lease = await acquireLease(storage, { scope: 'backup-main', command: 'b', times: quick });
  assert.deepEqual(files('backup-main').toSorted(), [`${lease.id}.json`, 'old.broken'].toSorted());
});

test('one that cannot be read holds as long', async () => {
  await storage.put('locks/cleanup/odd.json', [Buffer.from('{')]);
  await assert.rejects(acquireLease(storage, { scope: 'cleanup', command: 'b', times: quick }), {
    code: 'locked',
    message: /cannot be read/,
  });
  age('cleanup', 'odd.json', 31 * 60_000);
  await using lease = await acquireLease(storage, { scope: 'cleanup', command: 'b', times: quick });
  await lease.check();
});

test('it is renewed while it is held, and its "since" stays', async () => {
  await using lease = await acquireLease(storage, { scope: 'cleanup', command: 'b', times: quick });
  const name = `${lease.id}.json`;
  const first = JSON.parse(readFileSync(file('cleanup', name), 'utf8')) as { since: string };
  assert.equal(Date.parse(first.since), Math.floor(lease.sinceMs));
  age('cleanup', name, 60_000);
  const { renewedMs } = (await listLeases(storage, 'cleanup')).leases[0] ?? { renewedMs: 0 };
  await sleep(200);
  const later = (await listLeases(storage, 'cleanup')).leases[0];
  assert.ok((later?.renewedMs ?? 0) > renewedMs + 30_000, 'not renewed');
  assert.equal(later?.record?.since, first.since);
});

test('a mark ends the work, whatever is renewed after it; so does a lease that is gone', async () => {
  for (const harm of ['mark', 'remove'] as const) {
    const told: string[] = [];
    await using lease = await acquireLease(storage, {
      scope: 'cleanup',
      command: 'b',
      times: quick,
      onLost: ({ message }) => told.push(message),
    });
    if (harm === 'mark') await storage.put(`locks/cleanup/${lease.id}.broken`, [Buffer.from('{}')]);
    else await storage.remove([`locks/cleanup/${lease.id}.json`]);
    await assert.rejects(lease.check(), {
      code: 'locked',
      message: harm === 'mark' ? /marked it as broken/ : /removed it/,
    });
    await sleep(60);
    await assert.rejects(lease.check(), { code: 'locked' });
    assert.equal(told.length, 1, 'told once');
    if (harm === 'remove') {
      assert.deepEqual(
        files('cleanup').filter((name) => name.startsWith(lease.id)),
        [],
        'a lost lease is not written anew',
      );
    }
  }
});

test('the background look finds a mark by itself', async () => {
  const lost = Promise.withResolvers<LifeboatError>();
  await using lease = await acquireLease(storage, {
    scope: 'cleanup',
    command: 'b',
    times: quick,
    onLost: lost.resolve,
  });
  await storage.put(`locks/cleanup/${lease.id}.broken`, [Buffer.from('{}')]);
  assert.equal((await lost.promise).code, 'locked');
});

test('20 minutes without renewal end the work, by a clock that goes on while the machine sleeps', async () => {
  let now = 0;
  const told: string[] = [];
  await using lease = await acquireLease(storage, {
    scope: 'cleanup',
    command: 'b',
    times: { clock: () => now, tickMs: 1_000_000 },
    onLost: ({ message }) => told.push(message),
  });
  now = 20 * 60_000;
  await lease.check();
  now += 1;
  await assert.rejects(lease.check(), { code: 'locked', message: /could not be renewed in time/ });
  assert.equal(told.length, 1);
});

test('a storage outage is ridden out', async () => {
  let away = false;
  const flaky: typeof storage = new Proxy(storage, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (away) throw new StorageError('away', { retryable: true });
        return Reflect.apply(value, target, args);
      };
    },
  });
  await using lease = await acquireLease(flaky, { scope: 'cleanup', command: 'b', times: quick });
  away = true;
  await sleep(80);
  away = false;
  age('cleanup', `${lease.id}.json`, 60_000);
  await sleep(80);
  await lease.check();
  assert.ok(Date.now() - ((await listLeases(storage, 'cleanup')).leases[0]?.renewedMs ?? 0) < 30_000, 'renewed again');
});

test('unlock takes a dead one, a live one only by force, and its holder stops', async () => {
  const lost = Promise.withResolvers<LifeboatError>();
  await using lease = await acquireLease(storage, {
    scope: 'backup-main',
    command: 'b',
    times: quick,
    onLost: lost.resolve,
  });
  await assert.rejects(breakLease(storage, lease.id), {
    code: 'locked',
    hint: /lifeboat unlock backup-[a-z-]+ --alive/,
  });
  await assert.rejects(breakLease(storage, 'ffff'), { code: 'not_found' });
  await assert.rejects(breakLease(storage, ''), { code: 'not_found' });
  assert.equal((await breakLease(storage, lease.id.slice(0, 8), { force: true })).id, lease.id);
  await lost.promise;
  foreignLease('backup-main', 'dead');
  age('backup-main', 'dead.json', 31 * 60_000);
  assert.deepEqual(
    (await judgedLeases(storage, 'x')).map(({ id, status }) => [id, status]),
    [['dead', 'stale']],
  );
  assert.equal((await breakLease(storage, 'dead')).status, 'stale');
  assert.deepEqual(files('read'), [], 'the lease that told the time is given back');
});

test('cleaning up marks the dead of every scope and drops marks over 30 days old', async () => {
  await using mine = await acquireLease(storage, { scope: 'cleanup', command: 'cleanup', times: quick });
  await storage.put('locks/read/keep.json', [Buffer.from('{}')]);
  foreignLease('read', 'keep');
  await storage.put('locks/read/dead.json', [Buffer.from('{}')]);
  foreignLease('read', 'dead');
  age('read', 'dead.json', 31 * 60_000);
  await storage.put('locks/read/ancient.broken', [Buffer.from('{}')]);
  age('read', 'ancient.broken', 31 * 86_400_000);
  await storage.put('locks/read/recent.broken', [Buffer.from('{}')]);
  age('read', 'recent.broken', 29 * 86_400_000);
  const live = await markDeadLeases(storage, 'cleanup');
  assert.deepEqual(live.map(({ id }) => id).toSorted(), ['keep', mine.id].toSorted());
  assert.deepEqual(files('read').toSorted(), ['dead.broken', 'keep.json', 'recent.broken']);
});
