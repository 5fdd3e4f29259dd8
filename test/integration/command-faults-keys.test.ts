/**
 * Keys that are missing, wrong or not meant, and ids that are not there: what each command says, and that nothing is
 * changed.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertFailed, makeBench, namesBelow, type Bench } from '../helpers/cli/command-run.ts';

let bench: Bench;
let id: string;

before(async () => {
  bench = makeBench();
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'one'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: files };
  await bench.json('init');
  ({ id } = await bench.backup());
});
after(() => bench?.[Symbol.asyncDispose]());

/** On a host that has no state of its own, so that no key is remembered. */
async function refused(
  env: Record<string, string | undefined>,
  message: RegExp,
  hint: RegExp,
  lines: readonly string[] = [
    'backup',
    'restore latest --to-dir back',
    `restore ${id} --to-dir back`,
    `export ${id} out`,
  ],
): Promise<void> {
  const before = namesBelow(bench.repository);
  for (const line of lines) {
    const result = await bench.run(line, { env: { BACKUP_STATE_DIR: join(bench.folder, 'elsewhere'), ...env } });
    assertFailed(result, 12, message, hint);
    for (const secret of Object.values(env)) {
      if (secret !== undefined && secret.length > 20) assert.ok(!result.stderr.includes(secret), 'a secret is told');
    }
  }
  assert.deepEqual(namesBelow(bench.repository), before);
  assert.deepEqual(
    namesBelow(bench.folder).filter((name) => /^(back|out)/.test(name)),
    [],
  );
}

test('no key: 12, with both ways out', async () => {
  await refused({ BACKUP_ENCRYPTION_KEY: undefined }, /key/, /./);
  const fresh = { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_REPOSITORY: `file://${bench.folder}/fresh` };
  const result = await bench.run('backup', { env: fresh });
  assertFailed(result, result.exitCode === 10 ? 10 : 12, /./, /./);
  const without = await bench.run('backup', {
    env: { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_STATE_DIR: join(bench.folder, 'elsewhere') },
  });
  assert.match(without.stderr, /BACKUP_ENCRYPTION_KEY|keys generate/);
  assert.match(without.stderr, /BACKUP_ENCRYPTION_ENABLED=false/);
});

test('a wrong key, passphrase or identity: 12', async () => {
  await refused({ BACKUP_ENCRYPTION_KEY: 'cd'.repeat(32) }, /key/, /./);
  await refused(
    { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_ENCRYPTION_PASSPHRASE: 'not the right one, and long' },
    /key/,
    /./,
    ['restore latest --to-dir back'],
  );
});

test('a key with a typing error: refused as damaged, not taken for a passphrase', async () => {
  await refused({ BACKUP_ENCRYPTION_KEY: 'ab'.repeat(31) + 'a' }, /damaged|neither|63/, /./, ['backup']);
});

test('encryption that configuration and repository disagree on: 12, both ways', async () => {
  await refused(
    { BACKUP_ENCRYPTION_KEY: undefined, BACKUP_ENCRYPTION_ENABLED: 'false' },
    /is encrypted, but encryption is switched off/,
    /BACKUP_ENCRYPTION_ENABLED/,
  );
  const plain = {
    BACKUP_REPOSITORY: `file://${bench.folder}/plain`,
    BACKUP_STATE_DIR: join(bench.folder, 'plain-state'),
  };
  // Done, with a warning that nothing is encrypted.
  await bench.json('init', {
    env: { ...plain, BACKUP_ENCRYPTION_KEY: undefined, BACKUP_ENCRYPTION_ENABLED: 'false' },
    exitCode: 3,
  });
  for (const line of ['backup', 'list', 'restore latest --to-dir back']) {
    assertFailed(
      await bench.run(line, { env: plain }),
      12,
      /says it is not encrypted/,
      /BACKUP_ENCRYPTION_ENABLED=false/,
    );
  }
});

test('ids: unknown 10 with the nearest, ambiguous 2, none yet 10', async () => {
  assertFailed(
    await bench.run(`restore ${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'} --to-dir back`),
    10,
    /no backup/,
    new RegExp(id),
  );
  await bench.backup();
  assertFailed(
    await bench.run(`restore ${id.slice(0, 6)} --to-dir back`),
    2,
    new RegExp(`begins the ids of 2 backups: .*${id}`),
    /more of the id/,
  );
  assertFailed(await bench.run('restore latest~7 --to-dir back'), 10, /./, /lifeboat list|./);
  await bench.nothingLeft();
});
