/** validate, integrity and the states in list and show, as typed. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { documents } from '../../src/ui/json/documents.ts';
import { runCli, type CliResult } from '../helpers/cli/run-cli.ts';

const cwd = mkdtempSync(join(tmpdir(), 'lifeboat-validate-'));
const env = { PATH: '/usr/bin:/bin' };

before(async () => {
  mkdirSync(join(cwd, 'data'));
  writeFileSync(join(cwd, 'data', 'one'), 'first');
  const config = {
    repository: `file://${cwd}/repository`,
    encryption: { key: 'd4'.repeat(32) },
    stateDir: join(cwd, 'state'),
    targets: { main: { files: { paths: [join(cwd, 'data')] } } },
  };
  writeFileSync(join(cwd, 'lifeboat.config.json'), JSON.stringify(config), { mode: 0o600 });
  assert.equal((await cli('init -q')).exitCode, 0);
  assert.equal((await cli('backup -q')).exitCode, 0);
});
after(() => rmSync(cwd, { recursive: true }));

async function cli(line: string): Promise<CliResult> {
  return runCli(line.split(' '), { cwd, env });
}

test('stored, checked, decoded: in list, show and JSON; latest:proven is none of them', async () => {
  const state = async (): Promise<string | undefined> =>
    documents.list.parse(JSON.parse((await cli('list --json')).stdout)).backups[0]?.standing?.state;
  assert.equal(await state(), 'stored');
  assert.equal((await cli('validate --quick -q')).stdout, '');
  assert.equal(await state(), 'stored');
  const { exitCode, stdout } = await cli('validate --json');
  assert.equal(exitCode, 0, stdout);
  assert.equal(documents.validate.parse(JSON.parse(stdout)).backups[0]?.result, 'ok');
  assert.equal(await state(), 'checked');
  assert.equal((await cli('validate latest --deep')).exitCode, 0);
  assert.equal(await state(), 'decoded');
  assert.match((await cli('list')).stdout, /STATE[\s\S]* decoded/);
  assert.match(
    (await cli('show latest')).stdout,
    /^state +decoded$[\s\S]*^checked +\S+ \S+ \(deep, [\s\S]*^EVIDENCE [\s\S]* deep +ok /m,
  );
  assert.equal((await cli('show latest:proven')).exitCode, 10);
  const account = await cli('integrity --json');
  assert.equal(account.exitCode, 0, account.stdout);
  assert.deepEqual(documents.integrity.parse(JSON.parse(account.stdout)).findings, []);
});

test('usage: levels, samples, ids', async () => {
  for (const line of [
    'validate --quick --deep',
    'validate --sample 0',
    'validate --sample 101%',
    'validate --sample x',
    'validate --quick --sample 5%',
    'validate latest --all',
  ]) {
    assert.equal((await cli(line)).exitCode, 2, line);
  }
  assert.equal((await cli('validate nothing')).exitCode, 10);
  assert.match((await cli('validate --sample 50%')).stdout, /part \d of 2/);
});

describe('while the manifest of the newest backup is damaged', () => {
  const manifests = join(cwd, 'repository', 'manifests');
  const whole = new Map<string, Buffer>();
  let earlier: string;
  let newest: string;

  before(async () => {
    assert.equal((await cli('backup -q')).exitCode, 0);
    [earlier = '', newest = ''] = readdirSync(manifests)
      .map((name) => name.replace('.json', ''))
      .toSorted()
      .slice(-2);
    damage(newest);
  });
  after(() => {
    for (const [path, bytes] of whole) writeFileSync(path, bytes);
  });

  function damage(id: string): void {
    const path = join(manifests, `${id}.json`);
    whole.set(path, readFileSync(path));
    writeFileSync(path, readFileSync(path, 'utf8').replace('"host"', '"hast"'));
  }

  for (const line of ['validate latest', 'validate', 'validate latest --quick', 'validate --all']) {
    test(`${line} is 14 and names it`, async () => {
      const { exitCode, stdout } = await cli(`${line} --json`);
      assert.equal(exitCode, 14, stdout);
      const { damaged } = documents.validate.parse(JSON.parse(stdout));
      assert.ok(damaged.some(({ object }) => object === `manifests/${newest}.json`));
    });
  }

  for (const line of [
    'restore latest --to-dir back',
    'show latest',
    'export latest out',
    'hold latest --reason x',
    'integrity --drill latest',
    'integrity --drill',
  ]) {
    test(`${line} is refused with 14 and says what can be had`, async () => {
      const { exitCode, stderr } = await cli(line);
      assert.equal(exitCode, 14, stderr);
      assert.match(stderr, new RegExp(newest));
      assert.match(stderr, /hint: .*(latest~1|lifeboat list)/);
    });
  }

  test('the one before it can be named', async () => {
    assert.match((await cli('show latest~1')).stdout, new RegExp(earlier));
    assert.equal((await cli(`restore ${earlier} --to-dir back-by-id`)).exitCode, 0);
    assert.equal((await cli('restore latest~1 --to-dir back-by-place')).exitCode, 0);
  });

  test('where it is the only one, it is damaged, not absent', async () => {
    for (const name of readdirSync(manifests)) if (!name.startsWith(newest)) damage(name.replace('.json', ''));
    for (const line of ['validate latest', 'validate', 'show latest', 'restore latest --to-dir back']) {
      assert.equal((await cli(line)).exitCode, 14, line);
    }
  });
});

test('damage is 14, and told under -q too; the state says that it failed', async () => {
  const [pack = ''] = readdirSync(join(cwd, 'repository', 'packs'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.pack'),
  );
  appendFileSync(join(cwd, 'repository', 'packs', pack), 'x');
  const quiet = await cli('validate -q');
  assert.equal(quiet.exitCode, 14);
  assert.match(quiet.stdout, new RegExp(`^size: packs/${pack}: it has \\d+ bytes, not \\d+$`, 'm'));
  assert.match((await cli('list')).stdout, /stored, FAILED/);
  assert.match((await cli('show latest')).stdout, /^FAILED +\S+ \S+ \(stored, /m);
  const account = await cli('integrity -q');
  assert.equal(account.exitCode, 14);
  assert.match(account.stdout, /1 fault in file:/);
});
