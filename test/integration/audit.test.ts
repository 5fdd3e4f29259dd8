/**
 * The audit log by whole commands: what is recorded, what is not told to strangers, and that nothing in it can be
 * changed unseen.
 */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import { auditHost } from '../../src/repository/audit-names.ts';
import { writeTrashRecord } from '../../src/repository/deletion/trash-records.ts';
import { openRepository } from '../../src/repository/repository.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { encryption } from '../helpers/repository/repository.ts';

let bench: Bench;
let chain: string;

before(async () => {
  bench = makeBench();
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: files };
  chain = join(bench.repository, 'audit', auditHost());
  await bench.json('init');
});
after(async () => bench?.[Symbol.asyncDispose]());

const log = async (line = 'audit', exitCode = 0): Promise<AuditResult> => {
  const document = await bench.json<AuditResult>(line, { exitCode });
  documents.audit.parse(document);
  return document;
};
const nameOf = (number: number): string => join(chain, `${String(number).padStart(20, '0')}.json`);

test('each command that changes something leaves one record, with who, what and how it ended', async () => {
  const first = await bench.backup();
  const second = await bench.backup(['backup', '--label', 'a secret plan']);
  await bench.restore(`restore ${first.id} --to-dir ${join(bench.folder, 'private-place')}`);
  await bench.json(`export ${first.id} ${join(bench.folder, 'out')}`);
  assert.equal((await bench.run('restore 20200101T000000Z-main-full-00000000')).exitCode, 10);
  await bench.json('keys rotate');
  await bench.json(`restore ${first.id} --dry-run`);
  await bench.json('list');
  await bench.json('unlock');
  const { records, findings, total } = await log();
  assert.deepEqual(findings, []);
  assert.deepEqual(
    records.map(({ number, command, outcome, exitCode }) => [number, command, outcome, exitCode]),
    [
      [1, 'init', 'ok', 0],
      [2, 'backup', 'ok', 0],
      [3, 'backup', 'ok', 0],
      [4, 'restore', 'ok', 0],
      [5, 'export', 'ok', 0],
      [6, 'restore', 'failed', 10],
      [7, 'keys rotate', 'ok', 0],
      [8, 'unlock', 'ok', 0],
    ],
  );
  assert.equal(total, 8);
  assert.deepEqual(
    records.map(({ ids }) => ids),
    [[], [first.id], [second.id], [first.id], [first.id], ['20200101T000000Z-main-full-00000000'], [], []],
  );
  assert.equal(records[2]?.arguments?.['label'], 'a secret plan');
  assert.match(records[5]?.message ?? '', /there is no backup/);
  for (const { user, uid, host, target } of records.slice(1, 4)) {
    assert.deepEqual([user !== '', uid, host !== '', target], [true, process.getuid?.(), true, 'main']);
  }
});

test('the manifest says how far the log had come', () => {
  const [, second = ''] = bench.recorded();
  const { head } = JSON.parse(readFileSync(join(bench.repository, 'manifests', `${second}.json`), 'utf8')) as {
    head: { number: number; host: string; seal: string };
  };
  assert.deepEqual([head.host, head.number], [auditHost(), 2]);
  assert.equal((JSON.parse(readFileSync(nameOf(2), 'utf8')) as { seal: string }).seal, head.seal);
});

test('whoever reads the bucket learns neither paths nor messages', () => {
  for (const name of readdirSync(chain)) {
    assert.doesNotMatch(readFileSync(join(chain, name), 'utf8'), /secret plan|private-place|there is no backup/);
  }
});

test('filters, and comma-separated values', async () => {
  assert.deepEqual(
    (await log('audit --command restore')).records.map(({ number }) => number),
    [4, 6],
  );
  assert.deepEqual(
    (await log('audit --outcome failed')).records.map(({ number }) => number),
    [6],
  );
  assert.deepEqual(
    (await log('audit --limit 2')).records.map(({ number }) => number),
    [7, 8],
  );
  assert.deepEqual((await log('audit --since 2099-01-01T00:00:00Z')).records, []);
  assert.equal((await log('audit --since 1h')).records.length, 8);
  assert.deepEqual((await log('audit --host elsewhere')).records, []);
  assert.equal((await bench.run('audit --since yesterday')).exitCode, 2);
  const { stdout } = await bench.run('audit --csv');
  const lines = stdout.trim().split('\r\n');
  assert.equal(lines.length, 9);
  assert.match(lines[0] ?? '', /^finishedAt,startedAt,host,number,user/);
  assert.match(lines[3] ?? '', /,"\{""label"":""a secret plan""/);
});

describe('what somebody who can write to the repository does to the log is found', () => {
  const kinds = async (): Promise<string[]> =>
    (await log('audit', 14)).findings.map(({ kind, object }) => `${kind} ${Number(object.slice(-25, -5))}`);
  const damage = async (change: () => void, expected: string[]): Promise<void> => {
    const kept = join(bench.folder, 'kept');
    cpSync(chain, kept, { recursive: true });
    try {
      change();
      assert.deepEqual(await kinds(), expected);
    } finally {
      rmSync(chain, { recursive: true, force: true });
      renameSync(kept, chain);
    }
  };
  test('a record is changed', async () =>
    damage(
      () => writeFileSync(nameOf(4), readFileSync(nameOf(4), 'utf8').replace('"exitCode": 0', '"exitCode": 1')),
      ['damaged 4'],
    ));
  test('a record is removed', async () => damage(() => rmSync(nameOf(4)), ['missing 4']));
  test('the first is removed', async () => damage(() => rmSync(nameOf(1)), ['missing 1']));
  test('two change places', async () =>
    damage(() => {
      renameSync(nameOf(4), `${nameOf(4)}.x`);
      renameSync(nameOf(5), nameOf(4));
      renameSync(`${nameOf(4)}.x`, nameOf(5));
    }, ['damaged 4', 'damaged 5']));
  test('one is copied over another', async () => damage(() => copyFileSync(nameOf(4), nameOf(5)), ['damaged 5']));
  test('the end is cut off', async () => damage(() => [7, 8].forEach((number) => rmSync(nameOf(number))), ['cut 7']));
  test('the end is cut off for a host that remembers nothing, but a backup does', async () => {
    const stateDir = join(bench.folder, 'other-state');
    await damage(() => {
      for (let number = 2; number <= 8; number++) rmSync(nameOf(number));
      const state = bench.env;
      bench.env = { ...state, BACKUP_STATE_DIR: stateDir };
    }, ['cut 2']);
    bench.env = { ...bench.env, BACKUP_STATE_DIR: bench.stateDir };
  });
  test('all of it is removed', async () => damage(() => rmSync(chain, { recursive: true }), ['cut 1']));
  test('the log was put back to an older state and went on', async () => {
    const early = [7, 8].map((number) => readFileSync(nameOf(number)));
    [7, 8].forEach((number) => rmSync(nameOf(number)));
    await bench.json('unlock');
    assert.deepEqual(await kinds(), ['missing 7']);
    [7, 8].forEach((number, n) => writeFileSync(nameOf(number), early[n] ?? ''));
    assert.deepEqual((await log()).findings, []);
  });
});

/** That a cleanup moved it then, as only who has the key can write it. */
async function recordMove(id: string, thenMs: number): Promise<void> {
  const key = encryption({ key: bench.env['BACKUP_ENCRYPTION_KEY'] ?? assert.fail() });
  const repository = await openRepository(openLocalStorage(bench.repository), key, bench.stateDir);
  for await (const { seal, manifest } of repository.listManifests({ folder: 'trash/', idPrefix: id })) {
    await writeTrashRecord(repository, { id, seal, dataKey: manifest?.dataKey }, 'moved', thenMs);
  }
  const notes = join(bench.repository, 'notes', id);
  for (const each of readdirSync(notes)) utimesSync(join(notes, each), new Date(), new Date(thenMs));
}

test('what cleanup deletes for good is recorded before it goes, so that integrity misses nothing', async () => {
  const [first = '', second = ''] = bench.recorded();
  const seal = (
    JSON.parse(readFileSync(join(bench.repository, 'manifests', `${first}.json`), 'utf8')) as { seal: string }
  ).seal;
  const trash = join(bench.repository, 'trash');
  mkdirSync(trash, { recursive: true });
  // As a cleanup of two days ago would have left it.
  renameSync(join(bench.repository, 'manifests', `${first}.json`), join(trash, `${first}.json`));
  const thenMs = Date.now() - 2 * 86_400_000;
  utimesSync(join(trash, `${first}.json`), new Date(), new Date(thenMs));
  await recordMove(first, thenMs);
  await bench.json('cleanup');
  assert.deepEqual(
    bench.recorded().filter((id) => id === first),
    [],
  );
  const { records, findings } = await log('audit --command cleanup');
  assert.deepEqual(findings, []);
  assert.deepEqual(
    records.map(({ deleted, ids }) => [deleted, ids]),
    [
      [[{ id: first, seal }], [first]],
      [undefined, []],
    ],
  );
  const account = await bench.json<{ findings: { kind: string; object: string }[] }>('integrity --repository-only');
  assert.deepEqual(
    account.findings.filter(({ kind }) => kind === 'chain' || kind === 'rollback'),
    [],
  );
  assert.equal((await bench.run(`hold ${second} --reason because`)).exitCode, 0);
  assert.equal((await bench.run(`release ${second}`)).exitCode, 0);
  assert.deepEqual(
    (await log('audit --limit 2')).records.map(({ command, ids }) => [command, ids]),
    [
      ['hold', [second]],
      ['release', [second]],
    ],
  );
});

test('runs of one host at the same time lose no record and keep the chain', async () => {
  const { total } = await log();
  const results = await Promise.all([1, 2, 3, 4].map(async () => bench.run('unlock')));
  assert.deepEqual(
    results.map(({ exitCode }) => exitCode),
    [0, 0, 0, 0],
  );
  const after = await log();
  assert.deepEqual([after.total, after.findings], [total + 4, []]);
});

test('a log that cannot be written is a warning, and the work is done', async () => {
  // A file where the folder should be: that stops root, too.
  const kept = join(bench.folder, 'kept-audit');
  renameSync(join(bench.repository, 'audit'), kept);
  writeFileSync(join(bench.repository, 'audit'), '');
  const result = await bench.run('backup');
  rmSync(join(bench.repository, 'audit'));
  renameSync(kept, join(bench.repository, 'audit'));
  assert.equal(result.exitCode, 3, result.stderr);
  assert.match(result.stderr, /warn this run is not in the audit log/);
  assert.equal(bench.recorded().length, 2);
});
