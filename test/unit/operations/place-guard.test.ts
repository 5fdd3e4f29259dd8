/** Where nothing may be restored to: inside what is somebody's already, by whatever path. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { refuseProtectedPlace } from '../../../src/operations/place-guard.ts';

const home = realpathSync(mkdtempSync(join(tmpdir(), 'place-')));
after(() => rmSync(home, { recursive: true, force: true }));
const at = (...parts: string[]): string => join(home, ...parts);
for (const folder of [
  'repo/wal',
  'state',
  'live/base',
  'crashed',
  'other/manifests',
  'space/PG_15_202209061',
  'free',
]) {
  mkdirSync(at(folder), { recursive: true });
}
for (const file of ['live/PG_VERSION', 'live/postmaster.pid', 'live/base/PG_VERSION', 'crashed/PG_VERSION']) {
  writeFileSync(at(file), '');
}
writeFileSync(at('other/repository.json'), '{}');
symlinkSync(at('repo'), at('link'));

const own = { repository: { kind: 'local', path: at('repo') }, stateDir: at('state') } as const;
const refused = async (path: string, why: RegExp): Promise<void> =>
  assert.rejects(refuseProtectedPlace({ path, refusal: 'cannot recover into', flag: '--data-dir' }, own), {
    code: 'usage',
    message: why,
    hint: /--data-dir/,
  });

test('the repository, the state folder, a live data directory, a tablespace, another repository', async () => {
  await refused(at('repo'), /inside the repository/);
  await refused(at('repo', 'wal', 'not', 'there'), /inside the repository/);
  await refused(at('link', 'data'), /inside the repository/);
  await refused(at('state', 'data'), /inside the state folder/);
  await refused(at('live', 'new'), /data directory of a server that runs/);
  await refused(at('live', 'base', 'new'), /belongs to a data directory/);
  await refused(at('crashed', 'new'), /belongs to a data directory/);
  await refused(at('space', 'PG_15_202209061', 'data'), /a tablespace of PostgreSQL/);
  await refused(at('other', 'data'), /a repository/);
});

test('anything else, also where it only begins like one of them', async () => {
  for (const path of [
    at('free'),
    at('free', 'new', 'deep'),
    at('repository'),
    at('state-of-things'),
    at('live-copy'),
  ]) {
    await refuseProtectedPlace({ path, refusal: 'cannot recover into', flag: '--data-dir' }, own);
  }
});
