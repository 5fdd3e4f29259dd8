import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Secret } from '../../src/lib/secret.ts';
import { summarizeRdb } from '../../src/source/redis/rdb/summary.ts';
import { redisSource } from '../../src/source/redis/snapshot.ts';
import { startCuttingProxy } from '../helpers/servers/cutting-proxy.ts';
import type { TestRedis } from '../helpers/servers/redis.ts';
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
import { startSentinel } from '../helpers/servers/sentinel.ts';

let server: TestRedis;
let scratchDir: string;

before(async () => {
  scratchDir = mkdtempSync(join(tmpdir(), 'lbtest-scratch-'));
  const aclUsers = [
    'whole on >pw ~* &* +@all',
    'norep on >pw ~* &* +@all -sync -psync',
    'half on >pw ~key:* &* +@all -sync -psync',
    'blind on >pw ~* +sync +psync +replconf +ping',
  ];
  server = await startRedis({ tls: 'required', password: 'se:cr@t/', aclUsers });
  await fillSample(server);
  fillMany(server, 100_000, 2);
});

after(async () => {
  await server.stop();
  assert.deepEqual(readdirSync(scratchDir), [], 'nothing is left in the scratch folder');
  rmSync(scratchDir, { recursive: true });
});

/** What a server that loads the file holds. */
async function digestOfFile(bytes: Buffer): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'lbtest-load-'));
  writeFileSync(join(dir, 'dump.rdb'), bytes);
  const loaded = await startRedis({ dir });
  try {
    return digestOf(loaded);
  } finally {
    await loaded.stop();
    rmSync(dir, { recursive: true });
  }
}

test('a snapshot over TLS and replication holds all of it, and the facts say what', async () => {
  const { bytes, facts } = await backUp(addressOf(server), 'auto', undefined, scratchDir);
  assert.equal(await digestOfFile(bytes), digestOf(server));
  assert.equal(facts.consistency, 'snapshot');
  assert.deepEqual(
    [facts.crc, facts.checkedBy, facts.rdbVersion, facts.serverVersion],
    ['verified', 'redis-check-rdb', 10, /redis_version:(\S+)/.exec(server.cli(['INFO', 'server']))?.[1]],
  );
  assert.equal(facts.bytes, bytes.length);
  const keyspace = [...server.cli(['INFO', 'keyspace']).matchAll(/db(\d+):keys=(\d+),expires=(\d+)/g)].map(
    ([, ...numbers]) => numbers.map(Number),
  );
  assert.deepEqual(
    facts.databases.map(({ db, keys, expires }) => [db, keys, expires]),
    keyspace,
  );
  assert.deepEqual(facts.databases[0]?.types, { string: 17, list: 3, set: 4, zset: 3, hash: 2, stream: 4 });
  assert.deepEqual(
    facts.functions.map(({ name }) => name),
    ['libone', 'libtwo'],
  );
  assert.equal(facts.config?.['databases'], '16');
  assert.ok(facts.aclUsers?.some((line) => line.startsWith('user norep on')));
  assert.doesNotMatch(JSON.stringify(facts), /#[0-9a-f]{64}|se:cr@t/);
});

test('without the right to replicate: by scan, the same content, the same fingerprint, and it says so', async () => {
  const context = collectingContext();
  const whole = await backUp(addressOf(server), 'replication', undefined, scratchDir);
  const { bytes, facts } = await backUp(addressOf(server, 'norep', 'pw'), 'auto', context, scratchDir);
  assert.equal(await digestOfFile(bytes), digestOf(server));
  assert.deepEqual(
    [facts.consistency, facts.crc, facts.checkedBy, facts.vanishedKeys],
    ['scan', 'verified', 'redis-check-rdb', 0],
  );
  assert.match(facts.scanReason ?? '', /'sync' command/);
  assert.ok(context.events.some((event) => event.type === 'step' && /not of one moment/.test(event.message)));
  assert.ok(!context.events.some((event) => event.type === 'warning'));
  assert.deepEqual(
    [facts.keyFingerprint, facts.functions, facts.databases.map(({ keys }) => keys)],
    [whole.facts.keyFingerprint, whole.facts.functions, whole.facts.databases.map(({ keys }) => keys)],
  );
  await assert.rejects(backUp(addressOf(server, 'norep', 'pw'), 'replication', undefined, scratchDir), {
    code: 'source',
    exitCode: 13,
    hint: /\+sync/,
  });
  await assert.rejects(backUp(addressOf(server, 'half', 'pw'), 'auto', undefined, scratchDir), {
    code: 'source',
    message: /no right to it/,
  });
});

test('a scan while keys come and go and tables are resized: every key that stayed, each once', async () => {
  const busy = await startRedis();
  fillMany(busy, 60_000);
  const script =
    "for i=1,4000 do local n=redis.call('incr','n')%60000+60001 redis.call('set','key:'..n,n) " +
    "redis.call('del','key:'..(n-2000)) end";
  let going = true;
  const client = busy.client();
  const churn = (async () => {
    while (going) await client.eval(script, 0);
  })();
  const { bytes, facts } = await backUp(addressOf(busy), 'scan', undefined, scratchDir);
  going = false;
  await churn;
  await busy.stop();
  const seen = new Map<string, number>();
  await summarizeRdb(readerOf(bytes).open('dump.rdb'), {
    onKey: (key) => void seen.set(key.key.toString(), (seen.get(key.key.toString()) ?? 0) + 1),
  });
  for (let n = 1; n <= 58_000; n++) assert.equal(seen.get(`key:${n}`), 1, `key:${n}`);
  assert.ok([...seen.values()].every((times) => times === 1));
  assert.equal(facts.keys, seen.size);
  assert.notEqual(await digestOfFile(bytes), '0'.repeat(40));
});

test('values of 22 MB pass through in pieces, by scan and by replication', async () => {
  const big = await startRedis({ config: { rdbcompression: 'no' } });
  big.cli(['EVAL', "for i=1,3 do redis.call('set','big'..i,string.rep('0123456789'..i,2000000)) end", '0']);
  for (const method of ['scan', 'replication'] as const) {
    const { bytes, facts } = await backUp(addressOf(big), method, undefined, scratchDir);
    assert.ok(facts.bytes > 60e6);
    assert.equal(await digestOfFile(bytes), digestOf(big));
  }
  await big.stop();
});

test('an empty server gives an RDB that loads empty', async () => {
  const empty = await startRedis();
  for (const method of ['scan', 'replication'] as const) {
    const { bytes, facts } = await backUp(addressOf(empty), method, undefined, scratchDir);
    assert.deepEqual([facts.keys, facts.keyFingerprint.value, facts.rdbVersion], [0, '0'.repeat(16), 10]);
    assert.equal(await digestOfFile(bytes), digestOf(empty));
  }
  await empty.stop();
});

test('a server without checksums: unverified, and it says so', async () => {
  const without = await startRedis({ config: { rdbchecksum: 'no' } });
  without.cli(['SET', 'a', 'b']);
  assert.equal((await backUp(addressOf(without), 'replication', undefined, scratchDir)).facts.crc, 'unverified');
  await without.stop();
});

test('wrong logins and addresses: source (13), with what to do, and never the password', async () => {
  const wrong = addressOf(server, 'whole', 'WRONGWORD');
  const plain = { url: new Secret(server.url().replace('rediss', 'redis')) };
  const untrusted = { ...addressOf(server), caFile: undefined };
  for (const [address, message, hint] of [
    [wrong, /password is wrong/, /check the login/],
    [{ ...addressOf(server), url: new Secret(`rediss://127.0.0.1:${server.port}`) }, /wants a password/, /Redis URL/],
    [{ url: new Secret('redis://127.0.0.1:1') }, /nothing listens/, /server runs/],
    [{ url: new Secret('unix:///nonexistent/redis.sock') }, /no such socket/, /server runs/],
    [untrusted, /not trusted/, /caFile/],
    [plain, /./, /./],
  ] as const) {
    await assert.rejects(
      backUp(address, 'auto', undefined, scratchDir),
      (error: Error & { code: string; exitCode: number; hint: string }) => {
        assert.deepEqual([error.code, error.exitCode], ['source', 13], error.message);
        assert.match(error.message, message);
        assert.match(error.hint, hint);
        assert.doesNotMatch(`${error.message} ${error.hint} ${String(error.cause)}`, /WRONGWORD|se:cr/);
        return true;
      },
    );
  }
  await assert.rejects(backUp(addressOf(server, 'blind', 'pw'), 'auto', undefined, scratchDir), {
    code: 'source',
    hint: /\+info/,
  });
});

test('the server killed, its connection cut, or the run stopped midway: fails, and nothing is left', async () => {
  for (const how of ['server', 'connection', 'abort'] as const) {
    const victim = await startRedis({ config: { 'rdb-key-save-delay': '200' } });
    fillMany(victim, 30_000);
    const stop = new AbortController();
    const act = async (): Promise<void> => {
      await snapshotGrows();
      if (how === 'server') await victim.kill();
      else if (how === 'connection') victim.cli(['CLIENT', 'KILL', 'TYPE', 'replica']);
      else stop.abort(new Error('stopped by hand'));
    };
    const acting = act();
    await assert.rejects(
      backUp(addressOf(victim), 'auto', collectingContext(stop.signal), scratchDir),
      how === 'abort'
        ? /stopped by hand/
        : { code: 'source', exitCode: 13, message: /the snapshot of Redis at .* failed: the connection was lost/ },
    );
    await acting;
    assert.deepEqual(readdirSync(scratchDir), []);
    await victim.stop();
  }
});

test('a connection that is cut before the snapshot begins: by redis-cli, its password hidden', async () => {
  const slow = await startRedis({ password: 'hush-hush', config: { 'repl-diskless-sync-delay': '1' } });
  await fillSample(slow);
  await using proxy = await startCuttingProxy(slow, 1);
  const context = collectingContext();
  const taking = backUp({ url: new Secret(proxy.url) }, 'replication', context, scratchDir);
  const pid = await cliOf(scratchDir);
  assert.doesNotMatch(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), /hush/);
  const folder = join(scratchDir, readdirSync(scratchDir)[0] ?? '');
  assert.equal(execFileSync('stat', ['-c', '%a', folder, join(folder, 'dump.rdb')]).toString(), '700\n600\n');
  const { bytes, facts } = await taking;
  assert.deepEqual([facts.consistency, proxy.asked], ['snapshot', 2]);
  assert.equal(await digestOfFile(bytes), digestOf(slow));
  const steps = context.events.flatMap((event) => (event.type === 'step' ? [event.message] : []));
  assert.ok(steps.some((step) => /ended the connection instead of sending a snapshot; .* redis-cli/.test(step)));
  await slow.stop();
});

test('redis-cli killed where it has to do it: fails, and nothing is left', async () => {
  const slow = await startRedis({ config: { 'rdb-key-save-delay': '200' } });
  fillMany(slow, 30_000);
  await using proxy = await startCuttingProxy(slow, 1);
  const taking = backUp({ url: new Secret(proxy.url) }, 'auto', undefined, scratchDir);
  const killing = cliOf(scratchDir).then((pid) => process.kill(Number(pid), 'SIGKILL'));
  await assert.rejects(taking, { code: 'source', exitCode: 13, message: /redis-cli was killed/ });
  await killing;
  assert.deepEqual(readdirSync(scratchDir), []);
  await slow.stop();
});

test('connections that are cut each time: key by key, and it says why', async () => {
  const alone = await startRedis();
  await fillSample(alone);
  await using proxy = await startCuttingProxy(alone, Infinity);
  const { bytes, facts } = await backUp({ url: new Secret(proxy.url) }, 'auto', undefined, scratchDir);
  assert.equal(await digestOfFile(bytes), digestOf(alone));
  assert.deepEqual([facts.consistency, proxy.asked], ['scan', 2]);
  assert.match(facts.scanReason ?? '', /ended the connection instead of sending a snapshot/);
  await assert.rejects(backUp({ url: new Secret(proxy.url) }, 'replication', undefined, scratchDir), {
    code: 'source',
    exitCode: 13,
    hint: /log of the Redis server/,
  });
  await alone.stop();
});

test('a snapshot that the server saves first, and commands of others behind it', async () => {
  const saving = await startRedis({ config: { 'repl-diskless-sync': 'no', 'repl-backlog-size': '16kb' } });
  await fillSample(saving);
  const { bytes, facts } = await backUp(addressOf(saving), 'replication', undefined, scratchDir);
  assert.equal(await digestOfFile(bytes), digestOf(saving));
  assert.equal(facts.crc, 'verified');
  await saving.stop();
});

test('leaving the dump early removes the spool', async () => {
  for await (const artifact of redisSource({ ...addressOf(server), method: 'auto', scratchDir }).dump(
    collectingContext(),
  )) {
    if (artifact.body.from !== 'stream') throw new Error('not a stream');
    for await (const bytes of artifact.body.stream) if (bytes.length > 0) break;
    break;
  }
  assert.deepEqual(readdirSync(scratchDir), []);
});

test('probe tells version, identity and what stands in the way, and changes nothing', async () => {
  const probe = (address: Parameters<typeof backUp>[0], method: 'auto' | 'replication') =>
    redisSource({ ...address, method, scratchDir }).probe(collectingContext());
  const good = await probe(addressOf(server), 'auto');
  assert.deepEqual([good.serverVersion, good.problems, good.identity['role']], ['7.0.15', [], 'master']);
  assert.ok((good.estimatedBytes ?? 0) > 10e6);
  assert.equal((await probe(addressOf(server, 'norep', 'pw'), 'auto')).problems[0]?.fatal, false);
  assert.equal((await probe(addressOf(server, 'norep', 'pw'), 'replication')).problems[0]?.fatal, true);
  const cluster = await startRedis({ config: { 'cluster-enabled': 'yes' } });
  assert.match((await probe(addressOf(cluster), 'auto')).problems[0]?.message ?? '', /cluster mode/);
  await assert.rejects(backUp(addressOf(cluster)), { code: 'source', message: /cluster mode/ });
  await cluster.stop();
});

test('a Sentinel is no empty server: refused, whatever the method', async () => {
  await using sentinel = await startSentinel(server);
  const address = { url: new Secret(sentinel.url) };
  for (const method of ['auto', 'replication', 'scan'] as const) {
    await assert.rejects(backUp(address, method, undefined, scratchDir), {
      code: 'source',
      message: /is a Sentinel, which holds no data/,
      hint: /GET-MASTER-ADDR-BY-NAME/,
    });
    const { problems } = await redisSource({ ...address, method, scratchDir }).probe(collectingContext());
    assert.equal(problems.find(({ message }) => /Sentinel/.test(message))?.fatal, true);
  }
});

/** Waits for the first bytes of a snapshot in the scratch folder. */
async function snapshotGrows(): Promise<void> {
  const hasBytes = (folder: string): boolean =>
    (statSync(join(scratchDir, folder, 'dump.rdb'), { throwIfNoEntry: false })?.size ?? 0) > 0;
  while (!readdirSync(scratchDir).some(hasBytes)) await sleep(10);
}

/** Waits for the redis-cli that writes below a folder. */
async function cliOf(folder: string): Promise<string> {
  for (let tries = 0; tries < 500; tries++) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        if (line.startsWith('redis-cli') && line.includes(folder)) return pid;
      } catch {
        // gone already
      }
    }
    await sleep(10);
  }
  throw new Error('no redis-cli was started');
}
