/**
 * What is done stays done: a state folder that is full or read-only makes no failure of a run whose commit point is
 * behind it. It ends with 3, says what could not be remembered, and names what it made.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import type { CleanupResult, HoldResult } from '../../src/operations/cleanup/request.ts';
import type { BackupResult } from '../../src/operations/backup/request.ts';
import type { KeysChangeResult, KeysListResult } from '../../src/operations/setup/request.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';

/** What keeps the state folder from remembering anything new, and how it is ended. */
interface Trouble {
  readonly name: string;
  begin(stateDir: string): void;
}

const troubles: readonly Trouble[] = [
  // Ends with 1 once there is no more room.
  { name: 'full', begin: (stateDir) => void spawnSync('dd', ['if=/dev/zero', `of=${join(stateDir, 'ballast')}`]) },
  { name: 'read-only', begin: (stateDir) => void execFileSync('mount', ['-o', 'remount,ro', stateDir]) },
];

for (const { name, begin } of troubles) {
  describe(`a state folder that is ${name}`, () => {
    let bench: Bench;
    let files: string;

    before(async () => {
      bench = makeBench();
      files = join(bench.folder, 'files');
      mkdirSync(files);
      writeFileSync(join(files, 'a'), 'first');
      bench.env = { ...bench.env, BACKUP_FILES: files };
      mkdirSync(bench.stateDir);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', bench.stateDir]);
      await bench.json('init');
      await bench.backup();
    });
    beforeEach(() => begin(bench.stateDir));
    after(async () => {
      execFileSync('umount', ['-l', bench.stateDir]);
      await bench[Symbol.asyncDispose]();
    });

    test('a backup is done: 3, its id told, listed, restored, in the audit log, no lease left', async () => {
      writeFileSync(join(files, 'a'), 'second');
      const result = await bench.json<BackupResult>('backup', { exitCode: 3 });
      assert.ok(result.outcome === 'done');
      assert.match(result.warnings.join('; '), new RegExp(`${result.id} is stored.*does not remember it`));
      assert.equal((await bench.ids()).at(-1), result.id);
      await bench.nothingLeft();
      const to = join(bench.folder, 'restored');
      await bench.run(['restore', result.id, '--to-dir', to]);
      assert.equal(readFileSync(join(to, files, 'a'), 'utf8'), 'second');
      const { records } = await bench.json<AuditResult>('audit');
      assert.ok(records.some(({ command, ids }) => command === 'backup' && ids.includes(result.id)));
    });

    test('for people too: the id on standard output, the warning on standard error', async () => {
      const { exitCode, stdout, stderr } = await bench.run('backup');
      assert.equal(exitCode, 3, stderr);
      assert.match(stdout, new RegExp((await bench.ids()).at(-1) ?? 'no backup'));
      assert.match(stderr, / warn .*is stored.*cannot write to the state folder/);
    });

    test('a hold, a cleanup and a new data key are done as well', async () => {
      const held = await bench.json<HoldResult>('hold latest', { exitCode: 3 });
      assert.equal(held.held, true);
      assert.equal((await bench.json<CleanupResult>('cleanup', { exitCode: 3 })).outcome, 'done');
      const { current, warnings } = await bench.json<KeysChangeResult>('keys rotate', { exitCode: 3 });
      assert.match(warnings.join('; '), /is started, but this host does not remember it/);
      const { keys } = await bench.json<KeysListResult>('keys list');
      assert.equal(keys.at(-1)?.id, current);
      assert.equal(existsSync(join(bench.repository, 'keys', `${current}.json`)), true);
    });
  });
}
