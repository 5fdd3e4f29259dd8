/** Of each kind of result a program learns the exit code that the command line ends with. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exitCodeOf, exitCodeOfResult, openLifeboat, type Lifeboat } from '../../src/index.ts';
import { runCli } from '../helpers/cli/run-cli.ts';

const cwd = mkdtempSync(join(tmpdir(), 'exit-codes-'));
const pipe = join(cwd, 'data', 'pipe');
let lifeboat: Lifeboat;

before(async () => {
  mkdirSync(join(cwd, 'data'));
  writeFileSync(join(cwd, 'data', 'one'), 'first');
  const config = {
    repository: `file://${cwd}/repository`,
    encryption: { key: 'd4'.repeat(32) },
    stateDir: join(cwd, 'state'),
    targets: { main: { files: { paths: [join(cwd, 'data')] } } },
    monitoring: { storagePercent: 100 },
  };
  writeFileSync(join(cwd, 'lifeboat.config.json'), JSON.stringify(config), { mode: 0o600 });
  lifeboat = await openLifeboat({ cwd, env: {} });
});
after(async () => {
  await lifeboat?.close();
  rmSync(cwd, { recursive: true });
});

/** The code of both for the same thing done. */
async function codesOf(line: string, done: () => Promise<object>): Promise<readonly [string, number, number]> {
  const { exitCode } = await runCli(line.split(' '), { cwd });
  return [line, exitCode, exitCodeOfResult(await done())];
}

test('what is well is 0, what was warned of 3, what a status finds is its verdict', async () => {
  assert.deepEqual(await codesOf('init', () => lifeboat.init()), ['init', 0, 0]);
  assert.deepEqual(await codesOf('backup', () => lifeboat.backup()), ['backup', 0, 0]);
  assert.equal((await lifeboat.status()).verdict, 'degraded', 'no drill has proven it');
  assert.deepEqual(await codesOf('status', () => lifeboat.status()), ['status', 3, 3]);
  assert.deepEqual(await codesOf('list', () => lifeboat.list()), ['list', 0, 0]);
  assert.deepEqual(await codesOf('show latest', () => lifeboat.show({ id: 'latest' })), ['show latest', 0, 0]);
  assert.deepEqual(await codesOf('validate', () => lifeboat.validate()), ['validate', 0, 0]);
  assert.deepEqual(await codesOf('integrity --drill', () => lifeboat.drill()), ['integrity --drill', 0, 0]);
  assert.deepEqual(await codesOf('status', () => lifeboat.status()), ['status', 0, 0]);
  const [, typed, called] = await codesOf('doctor', () => lifeboat.doctor());
  assert.equal(typed, called);
  assert.equal(exitCodeOfResult(await lifeboat.generateKey()), 0);

  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const taken = await codesOf('backup', () => lifeboat.backup());
  assert.deepEqual(taken, ['backup', 3, 3], 'a pipe cannot be stored');
  rmSync(pipe);
});

test('a file of log that is proven absent is 1', async () => {
  const name = '000000010000000000000001';
  const fetched = await codesOf(`wal fetch ${name} wanted --system-id 7`, () =>
    lifeboat.walFetch({ name, path: 'wanted', systemId: '7' }),
  );
  assert.deepEqual(fetched.slice(1), [1, 1]);
});

test('damage is 14 for whoever looks, and a status with it 19', async () => {
  const packs = join(cwd, 'repository', 'packs');
  const stored = readdirSync(packs, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.pack'));
  for (const path of stored.map((name) => join(packs, name))) {
    writeFileSync(path, Buffer.alloc(statSync(path).size + 1, 'x'));
  }
  const damaged = exitCodeOf.integrity;
  const drilled = await codesOf('integrity --drill', () => lifeboat.drill());
  assert.deepEqual(drilled, ['integrity --drill', damaged, damaged]);
  assert.equal((await lifeboat.drill()).backups[0]?.result, 'failed');
  assert.deepEqual(await codesOf('validate', () => lifeboat.validate()), ['validate', damaged, damaged]);
  assert.deepEqual(await codesOf('integrity', () => lifeboat.integrity()), ['integrity', damaged, damaged]);
  assert.deepEqual(await codesOf('status', () => lifeboat.status()), ['status', exitCodeOf.stale, exitCodeOf.stale]);
  const [, typed, called] = await codesOf('emergency-restore status', () => lifeboat.emergencyStatus());
  assert.equal(typed, called);
});

test('only the result itself is known, no copy of it; and the code is no member of it', async () => {
  const result = await lifeboat.validate();
  assert.ok(!('exitCode' in result));
  assert.throws(() => exitCodeOfResult({ ...result }), TypeError);
});
