import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LifeboatError } from '../../src/lib/errors.ts';
import type { RedisRestoreReport, RedisRestoreRequest } from '../../src/source/redis/restore.ts';
import { restoreRedis } from '../../src/source/redis/restore.ts';
import type { TakenBackup, TestRedis } from '../helpers/servers/redis.ts';
import {
  addressOf,
  backUp,
  collectingContext,
  digestOf,
  fillMany,
  fillSample,
  readerOf,
  startRedis,
} from '../helpers/servers/redis.ts';

let source: TestRedis;
let taken: TakenBackup;
let scratchDir: string;

before(async () => {
  scratchDir = mkdtempSync(join(tmpdir(), 'lbtest-scratch-'));
  source = await startRedis();
  await fillSample(source);
  fillMany(source, 20_000, 2);
  taken = await backUp(addressOf(source), 'replication');
});

after(async () => {
  await source.stop();
  assert.deepEqual(readdirSync(scratchDir), [], 'nothing is left in the scratch folder');
  rmSync(scratchDir, { recursive: true });
});

async function withTarget<T>(
  options: Parameters<typeof startRedis>[0],
  work: (target: TestRedis) => Promise<T>,
): Promise<T> {
  const target = await startRedis(options);
  try {
    return await work(target);
  } finally {
    await target.stop();
  }
}

function restore(
  target: TestRedis,
  more: Partial<RedisRestoreRequest> = {},
  context = collectingContext(),
): Promise<RedisRestoreReport> {
  return restoreRedis(
    {
      reader: readerOf(taken.bytes),
      facts: taken.facts,
      target: addressOf(target),
      method: 'auto',
      replace: false,
      safetySnapshot: undefined,
      scratchDir,
      ...more,
    },
    context,
  );
}

/** FUNCTION LIST has no order. */
function functionsOf(server: TestRedis): string[] {
  return server
    .cli(['FUNCTION', 'LIST', 'WITHCODE'])
    .split('library_name')
    .map((text) => text.trim())
    .sort();
}

function role(target: TestRedis): string {
  return /^role:(\w+)/m.exec(target.cli(['INFO', 'replication']))?.[1] ?? '';
}

for (const method of ['replica', 'pipeline'] as const) {
  test(`${method}: every type, expiry, database and function comes back`, () =>
    withTarget({}, async (target) => {
      const report = await restore(target, { method });
      assert.equal(digestOf(target), digestOf(source));
      assert.deepEqual(functionsOf(target), functionsOf(source));
      assert.equal(target.cli(['PEXPIRETIME', 'expire:string']), source.cli(['PEXPIRETIME', 'expire:string']));
      assert.equal(
        target.cli(['XINFO', 'STREAM', 'stream', 'FULL']).replaceAll(/seen-time\n\d+/g, ''),
        source.cli(['XINFO', 'STREAM', 'stream', 'FULL']).replaceAll(/seen-time\n\d+/g, ''),
      );
      assert.equal(report.method, method);
      assert.equal(report.restoredKeys, taken.facts.keys);
      assert.ok(report.comparedKeys > 500);
      assert.equal(report.comparedValues, method === 'replica' ? report.comparedKeys : 0);
      assert.equal(report.durable, 'memory');
      assert.equal(role(target), 'master');
    }));

  test(`${method}: replaces what was there after confirmation, having saved it, and keeps ACL users and settings`, () =>
    withTarget(
      {
        aclUsers: ['app on >pw ~* +@all'],
        password: 'secret',
        config: { masterauth: 'production', masteruser: 'repl' },
      },
      async (target) => {
        target.cli(['SET', 'old', 'data']);
        target.cli(['SET', 'string:plain', 'other']);
        target.cli(['-n', '7', 'SET', 'old', 'data']);
        target.cli(['FUNCTION', 'LOAD', "#!lua name=oldlib\nredis.register_function('old', function() return 1 end)"]);
        const before = digestOf(target);
        await assert.rejects(restore(target, { method }), { code: 'confirmation', exitCode: 18 });
        assert.equal(digestOf(target), before);
        const saved = join(target.dir, 'saved.rdb');
        const report = await restore(target, { method, replace: true, safetySnapshot: saved });
        assert.equal(digestOf(target), digestOf(source));
        assert.deepEqual(functionsOf(target), functionsOf(source));
        assert.deepEqual(
          [target.cli(['CONFIG', 'GET', 'masterauth']), target.cli(['CONFIG', 'GET', 'masteruser'])],
          ['masterauth\nproduction', 'masteruser\nrepl'],
        );
        assert.match(target.cli(['ACL', 'LIST']), /user app on/);
        assert.equal(report.keysBefore, 3);
        assert.equal(report.removedKeys, method === 'replica' ? 3 : 2);
        assert.equal(statSync(saved).mode & 0o777, 0o600);
        await withTarget({ config: { dir: target.dir, dbfilename: 'saved.rdb' } }, async (check) =>
          assert.equal(digestOf(check), before),
        );
      },
    ));

  test(`${method}: through TLS with client certificates`, () =>
    withTarget({ tls: 'required', config: { 'tls-replication': 'yes' } }, async (target) => {
      await restore(target, { method });
      assert.equal(digestOf(target), digestOf(source));
      assert.equal(target.cli(['CONFIG', 'GET', 'tls-replication']), 'tls-replication\nyes');
    }));

  for (const persistence of ['appendonly', 'save'] as const) {
    test(`${method}: what is reported restored outlives a kill -9 (${persistence})`, () =>
      withTarget(
        { config: persistence === 'save' ? { save: '3600 1' } : { appendonly: 'yes', appendfsync: 'no' } },
        async (target) => {
          const report = await restore(target, { method });
          assert.equal(report.durable, persistence === 'save' ? 'rdb' : 'aof');
          await target.kill();
          const again = await target.restart();
          assert.equal(digestOf(again), digestOf(source));
          await again.stop();
        },
      ));
  }
}

test('expired keys do not come back, and are counted', async () => {
  const server = await startRedis();
  server.cli(['SET', 'stays', 'v']);
  server.cli(['SET', 'goes', 'v', 'PX', '1500']);
  const short = await backUp(addressOf(server));
  assert.equal(short.facts.keys, 2);
  await sleep(1600);
  await server.stop();
  for (const method of ['replica', 'pipeline'] as const) {
    await withTarget({}, async (target) => {
      const report = await restore(target, { reader: readerOf(short.bytes), facts: short.facts, method });
      assert.deepEqual([report.restoredKeys, report.expiredKeys], [1, 1]);
      assert.equal(target.cli(['KEYS', '*']), 'stays');
    });
  }
});

test('chosen keys: only those, beside what is there; replaced only when confirmed', () =>
  withTarget({}, async (target) => {
    target.cli(['SET', 'string:plain', 'mine']);
    target.cli(['SET', 'other', 'mine']);
    await assert.rejects(restore(target, { keys: 'string:*' }), { code: 'confirmation', message: /^1 of the keys/ });
    assert.equal(target.cli(['DBSIZE']), '2');
    const report = await restore(target, { keys: 'string:*', replace: true });
    const wanted = source.cli(['KEYS', 'string:*']).split('\n').sort();
    assert.deepEqual(target.cli(['KEYS', '*']).split('\n').sort(), [...wanted, 'other'].sort());
    assert.equal(report.restoredKeys, wanted.length);
    assert.equal(target.cli(['DEBUG', 'DIGEST-VALUE', ...wanted]), source.cli(['DEBUG', 'DIGEST-VALUE', ...wanted]));
    assert.equal(target.cli(['FUNCTION', 'LIST']), '');
  }));

test('what is the name of a key is that key, whatever it would match as a pattern', async () => {
  const server = await startRedis();
  try {
    for (const key of ['cache:*', 'cache:1', 'a[b', 'ab', '?']) server.cli(['SET', key, key]);
    const odd = await backUp(addressOf(server), 'replication');
    const chosen = async (keys: string): Promise<string[]> => {
      server.cli(['FLUSHALL']);
      const report = await restore(server, { reader: readerOf(odd.bytes), facts: odd.facts, keys });
      const names = server.cli(['KEYS', '*']).trim().split('\n').sort();
      assert.equal(report.restoredKeys, names.length);
      for (const name of names) assert.equal(server.cli(['GET', name]).trim(), name);
      return names;
    };
    assert.deepEqual(await chosen('cache:*'), ['cache:*']);
    assert.deepEqual(await chosen('a[b'), ['a[b']);
    assert.deepEqual(await chosen('?'), ['?']);
    assert.deepEqual(await chosen('cache:?'), ['cache:*', 'cache:1']);
  } finally {
    await server.stop();
  }
});

test('a managed server (no REPLICAOF, no CONFIG): by pipeline, and it says why', () =>
  withTarget(
    {
      aclUsers: ['app on >pw ~* &* +@all -replicaof -slaveof -config -bgsave -bgrewriteaof -acl'],
      config: { appendonly: 'yes' },
    },
    async (target) => {
      const context = collectingContext();
      const report = await restore(target, { target: addressOf(target, 'app', 'pw') }, context);
      assert.equal(report.method, 'pipeline');
      assert.match(report.methodReason ?? '', /CONFIG and REPLICAOF/);
      assert.equal(report.durable, 'unknown');
      assert.ok(context.events.some((event) => event.type === 'step' && /not atomic/.test(event.message)));
      assert.equal(digestOf(target), digestOf(source));
    },
  ));

test('a damaged or cut artifact, or one that is not the recorded one, never touches the target', () =>
  withTarget({}, async (target) => {
    target.cli(['SET', 'old', 'data']);
    const before = digestOf(target);
    const flipped = Buffer.from(taken.bytes);
    flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1;
    const other = await backUp(addressOf(target));
    const failing = {
      ...readerOf(taken.bytes),
      open: async function* () {
        yield taken.bytes.subarray(0, 500_000);
        throw new Error('the storage is gone');
      },
    };
    for (const reader of [
      readerOf(flipped),
      readerOf(taken.bytes.subarray(0, -9)),
      readerOf(Buffer.concat([taken.bytes, Buffer.alloc(1)])),
      readerOf(other.bytes),
    ]) {
      for (const method of ['replica', 'pipeline'] as const) {
        await assert.rejects(restore(target, { reader, method, replace: true }), { code: 'integrity', exitCode: 14 });
      }
    }
    await assert.rejects(restore(target, { reader: failing, replace: true }), /the storage is gone/);
    assert.equal(digestOf(target), before);
    assert.equal(role(target), 'master');
  }));

test('the target keeps its data and its settings when it cannot reach the scratch server', () =>
  withTarget({ config: { masterauth: 'production' } }, async (target) => {
    target.cli(['SET', 'old', 'data']);
    const before = digestOf(target);
    await assert.rejects(
      restore(target, { method: 'replica', replicaAddress: 'no-such-host.invalid', replace: true }),
      (error: LifeboatError) => error.code === 'source' && /cannot reach/.test(error.message),
    );
    assert.equal(digestOf(target), before);
    assert.equal(role(target), 'master');
    assert.equal(target.cli(['CONFIG', 'GET', 'masterauth']), 'masterauth\nproduction');
  }));

test('stopped in the middle: the target is a primary again with its settings, no scratch server is left', () =>
  withTarget({ config: { masterauth: 'production' } }, async (target) => {
    target.cli(['SET', 'old', 'data']);
    const stop = new AbortController();
    const context = collectingContext(stop.signal);
    const emit = context.emit;
    let port = '';
    const watching = {
      ...context,
      emit: (event: Parameters<typeof emit>[0]): void => {
        if (event.type === 'step' && /copies the backup/.test(event.message)) {
          setTimeout(() => {
            port = /master_port:(\d+)/.exec(target.cli(['INFO', 'replication']))?.[1] ?? '';
            stop.abort(new Error('stopped'));
          }, 5);
        }
      },
    };
    await assert.rejects(restore(target, { method: 'replica', replace: true }, { ...watching, events: [] }), /stopped/);
    assert.equal(role(target), 'master');
    assert.equal(target.cli(['CONFIG', 'GET', 'masterauth']), 'masterauth\nproduction');
    assert.ok(
      !readFileSync('/proc/net/tcp', 'utf8').includes(
        `:${Number(port || 1)
          .toString(16)
          .toUpperCase()
          .padStart(4, '0')} 00000000:0000 0A`,
      ),
    );
  }));

test('the target dies in the middle: source (13), and nothing of ours is left', () =>
  withTarget({}, async (target) => {
    const context = collectingContext();
    const killing = {
      ...context,
      emit: (event: { type: string; message?: string }): void => {
        if (/not atomic/.test(event.message ?? '')) setTimeout(() => void target.kill(), 30);
      },
    };
    await assert.rejects(restore(target, { method: 'pipeline' }, { ...killing, events: [] }), {
      code: 'source',
      exitCode: 13,
    });
  }));

test('refused with a reason: a replica, a cluster node, too little memory', async () => {
  await withTarget({ config: { replicaof: `127.0.0.1 ${source.port}` } }, (target) =>
    assert.rejects(restore(target), { code: 'source', message: /is a replica of/ }),
  );
  await withTarget({ config: { 'cluster-enabled': 'yes' } }, (target) =>
    assert.rejects(restore(target), { code: 'source', message: /cluster mode/ }),
  );
  await withTarget({ config: { maxmemory: '3mb' } }, (target) =>
    assert.rejects(restore(target, { method: 'replica' }), { code: 'space', message: /maxmemory/ }),
  );
  await withTarget({ config: { maxmemory: '3mb' } }, (target) =>
    assert.rejects(restore(target, { method: 'pipeline' }), {
      code: 'source',
      message: /no memory left/,
      state: /keys were restored/,
    }),
  );
  await withTarget({ config: { databases: '4' } }, async (target) => {
    await assert.rejects(restore(target, { method: 'pipeline' }), { code: 'source', message: /no database 15/ });
    assert.equal(target.cli(['DBSIZE']), '0');
  });
});
