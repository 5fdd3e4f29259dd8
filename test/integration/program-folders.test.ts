/** Programs of the servers in folders that the configuration names: what is taken, and what doctor says. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DoctorResult } from '../../src/operations/doctor/request.ts';
import { runTool } from '../../src/lib/exec.ts';
import { withProgramFolders } from '../../src/lib/program-folders.ts';
import { findTools } from '../../src/source/postgres/server/tools.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { programsOf } from '../helpers/versions/server-versions.ts';

let bench: Bench;
let redis: TestRedis;
before(async () => {
  redis = await startRedis({ version: 'valkey-9' });
  redis.cli(['HSET', 'h', 'f', '1']);
  redis.cli(['HEXPIRE', 'h', '100000', 'FIELDS', '1', 'f']);
  bench = makeBench({ REDIS_URL: redis.url() });
});
after(async () => {
  await bench[Symbol.asyncDispose]();
  await redis.stop();
});

test("PostgreSQL's programs in a named folder are taken where they fit, else those of packages", async () => {
  const folder = realpathSync(programsOf('postgres-17'));
  await withProgramFolders({ postgres: folder, redis: undefined }, async () => {
    assert.deepEqual([(await findTools(15)).major, (await findTools(17)).folder], [17, folder]);
    await assert.rejects(findTools(99), { code: 'tool' });
  });
  assert.equal((await findTools(15)).major, 15);
  await withProgramFolders({ postgres: programsOf('postgres-13'), redis: undefined }, async () => {
    assert.equal((await findTools(15)).major, 15, 'a version that is too old for the server');
  });
});

test('two runs at once keep their folders apart', async () => {
  const versionIn = async (redisBin: string | undefined): Promise<string> =>
    withProgramFolders({ postgres: undefined, redis: redisBin }, async () => {
      await Promise.resolve();
      return (await runTool({ file: 'redis-cli', args: ['--version'] })).stdout;
    });
  const [named, found] = await Promise.all([versionIn(programsOf('redis-8.6')), versionIn(undefined)]);
  assert.match(named, /^redis-cli 8\.6/);
  assert.match(found, /^redis-cli 7/);
});

test('a drill of Valkey 9 with programs of a named folder; doctor names it, and folders that are none', async () => {
  const settings = { targets: { main: { redis: { url: { env: 'REDIS_URL' } } } } };
  const write = (tools: object): void =>
    writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ ...settings, tools }));
  mkdirSync(join(bench.folder, 'own'));
  for (const name of ['valkey-server', 'valkey-check-rdb']) {
    copyFileSync(join(programsOf('valkey-9'), name), join(bench.folder, 'own', name));
  }
  write({ redisBin: 'own' });
  await bench.json('init');
  await bench.backup();
  const { checks } = await bench.json<DoctorResult>('doctor', { exitCode: 3 });
  assert.match(checks.find(({ name }) => name === 'Redis programs')?.message ?? '', /valkey-server in /);
  assert.match(checks.find(({ name }) => name === 'main: Redis tools')?.message ?? '', /^Valkey 9.*valkey-check-rdb/);
  await bench.json('integrity --drill');
  mkdirSync(join(bench.folder, 'empty'));
  symlinkSync('empty', join(bench.folder, 'link'));
  for (const tools of [{ redisBin: 'link' }, { redisBin: 'nowhere' }, { postgresBin: 'empty' }]) {
    write(tools);
    const found = (await bench.json<DoctorResult>('doctor', { exitCode: 2 })).checks;
    assert.equal(found.filter(({ ok }) => ok === 'fail').length, 1, JSON.stringify(found));
  }
});
