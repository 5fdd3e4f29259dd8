/** The evidence bundle, verified by the steps that it contains, and by nothing of ours. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import { writeBundle } from '../../src/operations/report/bundle.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { makeBench, namesBelow, type Bench } from '../helpers/cli/command-run.ts';

const dayMs = 86_400_000;
let bench: Bench;
let unpacked: string;
let writer: string;

before(async () => {
  bench = makeBench();
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: files };
  writer = (await bench.json<{ publicKey: string }>('init')).publicKey;
  const first = await bench.backup();
  await bench.backup();
  await bench.json(`validate ${first.id}`);
  await bench.json(`integrity --drill ${first.id}`);
  await bench.json(`hold ${first.id} --reason lawsuit`);
  await bench.restore(`restore ${first.id} --to-dir ${join(bench.folder, 'back')}`);
  unpacked = join(bench.folder, 'unpacked');
  await make(Date.now() - dayMs, Date.now() + dayMs, unpacked);
});
after(async () => bench?.[Symbol.asyncDispose]());

async function withOpened(work: (repository: Repository) => Promise<unknown>): Promise<void> {
  const need = { repository: true, encryption: true, targets: 'all' } as const;
  const loaded = await loadConfig({ cwd: bench.folder, env: bench.env, need });
  await withRepository(loaded, { signal: new AbortController().signal, emit: () => {} }, work);
}

async function make(fromMs: number, toMs: number, to: string): Promise<void> {
  const file = join(bench.folder, 'evidence.zip');
  const extras = [{ name: 'report.json', bytes: Buffer.from('{}\n') }];
  const { signal } = new AbortController();
  await withOpened(async (repository) => writeBundle(repository, { file, fromMs, toMs, extras }, signal));
  execFileSync('unzip', ['-q', file, '-d', to]);
  rmSync(file);
}

/** As the file in the bundle says, by the Node that it asks for. */
function verify(folder: string, keys: readonly string[] = [writer]): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['verify.mjs', ...keys], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { code: status, said: stdout + stderr };
}

test('it holds the records of its time as they lie in the repository, and its own steps verify them', () => {
  const inRepository = ['audit', 'evidence', 'notes', 'manifests', 'schedules', 'trash'].flatMap((folder) =>
    namesBelow(join(bench.repository, folder)).map((name) => `${folder}/${name}`),
  );
  const records = namesBelow(join(unpacked, 'records'));
  assert.deepEqual(records.toSorted(), inRepository.filter((name) => name.endsWith('.json')).toSorted());
  assert.ok(records.length >= 10, records.join());
  for (const name of records) {
    assert.deepEqual(readFileSync(join(unpacked, 'records', name)), readFileSync(join(bench.repository, name)), name);
  }
  const { code, said } = verify(unpacked);
  assert.equal(code, 0, said);
  assert.match(said, /all of it holds/);
  assert.match(said, new RegExp(`${records.length} records are signed by .*: believed`));
  assert.match(said, /1 chains of the audit log/);
});

test('one record is verified by the shell lines of README.txt', () => {
  const readme = readFileSync(join(unpacked, 'README.txt'), 'utf8');
  const lines = readme
    .split('TO VERIFY ONE RECORD')[1]
    ?.split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim());
  assert.equal(lines?.length, 7);
  const [name] = namesBelow(join(unpacked, 'records')).filter((each) => each.startsWith('audit/'));
  const work = join(bench.folder, 'by-hand');
  const run = (): string => {
    const [, ...others] = lines ?? [];
    const script = [`f=records/${name}`, ...others].join('\n');
    const { stdout } = spawnSync('sh', ['-c', `${script}\nprintf '%s\\n' "$key"`], { cwd: work, encoding: 'utf8' });
    return stdout;
  };
  cpSync(unpacked, work, { recursive: true });
  assert.match(run(), new RegExp(`Signature Verified Successfully\n${writer.replaceAll(/[+/]/g, '\\$&')}`));
  const record = join(work, 'records', name ?? '');
  writeFileSync(record, readFileSync(record, 'utf8').replace('"exitCode": 0', '"exitCode": 9'));
  assert.match(run(), /Verification Failure/);
});

test('a changed byte, a record that is missing, exchanged, unsigned, by a stranger: each is found', () => {
  const spoilt = (change: (folder: string) => void, keys?: readonly string[]): string => {
    const folder = join(bench.folder, `spoilt-${Math.random()}`);
    cpSync(unpacked, folder, { recursive: true });
    change(folder);
    // As somebody does who knows what is checked.
    const sums = namesBelow(folder)
      .filter((name) => name !== 'SHA256SUMS')
      .map(
        (name) =>
          `${createHash('sha256')
            .update(readFileSync(join(folder, name)))
            .digest('hex')}  ${name}\n`,
      );
    writeFileSync(join(folder, 'SHA256SUMS'), sums.join(''));
    const { code, said } = verify(folder, keys);
    assert.equal(code, 1, said);
    return said;
  };
  const chain = (folder: string): string[] => {
    const [host = ''] = readdirSync(join(folder, 'records/audit'));
    return readdirSync(join(folder, 'records/audit', host))
      .toSorted()
      .map((name) => join(folder, 'records/audit', host, name));
  };
  const [evidence = ''] = namesBelow(join(unpacked, 'records')).filter((name) => name.startsWith('evidence/'));
  assert.match(
    spoilt((folder) => {
      const path = join(folder, 'records', evidence);
      writeFileSync(path, readFileSync(path, 'utf8').replace('"durationMs": ', '"durationMs": 1'));
    }),
    /PROBLEM: records\/evidence\/.* is not what its writer signed/,
  );
  assert.match(
    spoilt((folder) => rmSync(chain(folder)[1] ?? '')),
    /PROBLEM: audit\/.*: 2 is missing/,
  );
  assert.match(
    spoilt((folder) => cpSync(chain(folder)[0] ?? '', chain(folder)[1] ?? '')),
    /PROBLEM: .* was written as audit\//,
  );
  assert.match(
    spoilt((folder) => writeFileSync(join(folder, 'records/notes.json'), '{}\n')),
    /is not signed/,
  );
  assert.match(
    spoilt(() => {}, []),
    /nobody vouches for the writer/,
  );
  const { code, said } = ((): ReturnType<typeof verify> => {
    const folder = join(bench.folder, 'damaged');
    cpSync(unpacked, folder, { recursive: true });
    writeFileSync(join(folder, 'report.json'), '{"all": "well"}\n');
    return verify(folder);
  })();
  assert.equal(code, 1);
  assert.match(said, /report\.json is not what SHA256SUMS says/);
});

test('of another time it holds nothing but the audit log from then on', async () => {
  const folder = join(bench.folder, 'before');
  await make(Date.now() - 90 * dayMs, Date.now() - 60 * dayMs, folder);
  assert.ok(namesBelow(join(folder, 'records')).every((name) => name.startsWith('audit/')));
  assert.equal(verify(folder).code, 0);
});

test('a record that cannot be read, and Ctrl-C, leave no file', async () => {
  const folder = join(bench.folder, 'out');
  mkdirSync(folder);
  const request = { file: join(folder, 'evidence.zip'), fromMs: 0, toMs: Date.now() + dayMs, extras: [] };
  await withOpened(async (repository) => {
    const [lost] = namesBelow(join(bench.repository, 'notes'));
    const path = join(bench.repository, 'notes', lost ?? '');
    const aside = readFileSync(path);
    const { storage } = repository;
    // Gone between the listing and the reading.
    const racing = { ...storage, list: storage.list.bind(storage), get: storage.get.bind(storage) };
    racing.get = async (key) => {
      rmSync(path, { force: true });
      return storage.get(key);
    };
    const never = new AbortController().signal;
    await assert.rejects(writeBundle({ storage: racing }, request, never), /no object notes/);
    writeFileSync(path, aside);
    const stopped = AbortSignal.abort(new Error('by the operator'));
    await assert.rejects(writeBundle(repository, request, stopped), /by the operator/);
  });
  assert.deepEqual(readdirSync(folder), []);
});
