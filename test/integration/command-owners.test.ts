/** Root works with the repository and the state folder of another user, who can go on with both afterwards. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { makeBench } from '../helpers/cli/command-run.ts';

const owner = 65534;
const wrapper = ['/usr/bin/setpriv', `--reuid=${owner}`, `--regid=${owner}`, '--clear-groups'];

test(
  "a backup by its owner, then root's drill, backup and a killed run: the owner goes on, and root deletes nothing " +
    "on another's word",
  async () => {
    await using bench = makeBench();
    const data = join(bench.folder, 'data');
    mkdirSync(data);
    writeFileSync(join(data, 'a'), 'content');
    bench.env = { ...bench.env, BACKUP_FILES: data };
    for (const path of [bench.folder, bench.tmp, bench.env['HOME'] ?? '', data, join(data, 'a')]) {
      chownSync(path, owner, owner);
    }
    chmodSync(dirname(bench.folder), 0o755);
    await bench.json('init', { wrapper });
    await bench.backup('backup', { wrapper });
    // Before anything of root's: whose journal it is decides who removes what it names.
    writeFileSync(join(bench.folder, 'precious'), '');
    const planted = join(bench.stateDir, 'run/4194304-1.ndjson');
    writeFileSync(planted, `{"add":{"path":${JSON.stringify(join(bench.folder, 'precious'))}}}\n`);
    chownSync(planted, owner, owner);

    // Root's own: in the owner's TMPDIR it makes no scratch folder.
    const env = { TMPDIR: dirname(bench.folder) };
    await bench.json('integrity --drill', { env });
    await bench.backup('backup', { env });
    writeFileSync(join(bench.stateDir, 'run/4194304-2.ndjson'), '', { mode: 0o600 });
    assert.ok(statSync(join(bench.folder, 'precious')).isFile());
    assert.deepEqual([...ownedByRoot(bench.repository), ...ownedByRoot(bench.stateDir)], ['run/4194304-2.ndjson']);

    await bench.backup('backup', { wrapper });
    assert.equal(
      statSync(join(bench.folder, 'precious'), { throwIfNoEntry: false }),
      undefined,
      'its own journal its owner believes',
    );
    assert.equal((await bench.json<{ backups: unknown[] }>('list', { wrapper })).backups.length, 3);
    await bench.json('status', { wrapper });
  },
);

/** Paths of files and folders below `folder`. */
function ownedByRoot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (path) => statSync(join(folder, path)).uid === 0,
  );
}

test('what this user may not read in the state folder is no bug of ours', async () => {
  await using bench = makeBench();
  await bench.json('init');
  const [id = ''] = readdirSync(join(bench.stateDir, 'repositories'));
  const data = join(bench.folder, 'data');
  mkdirSync(data);
  bench.env = { ...bench.env, BACKUP_FILES: data };
  await bench.backup();
  for (const path of [bench.folder, bench.tmp, bench.env['HOME'] ?? '', bench.repository]) {
    chownSync(path, owner, owner);
  }
  for (const path of readdirSync(bench.repository, { recursive: true, encoding: 'utf8' })) {
    chownSync(join(bench.repository, path), owner, owner);
  }
  for (const path of ['', 'run', 'repositories', `repositories/${id}`]) {
    chownSync(join(bench.stateDir, path), owner, owner);
  }
  chmodSync(dirname(bench.folder), 0o755);
  const { exitCode, stderr } = await bench.run('backup', { wrapper });
  assert.equal(exitCode, 2, stderr);
  assert.match(
    stderr,
    /cannot read the state folder: .*permission denied[\s\S]*hint: run it as the user that it belongs to/i,
  );
});
