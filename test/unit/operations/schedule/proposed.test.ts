/** init --schedules: only what suits what is there, in a new file and in one that was there. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../../../src/config/load.ts';
import { proposedSchedules } from '../../../../src/operations/setup/proposed-schedules.ts';
import { runCli } from '../../../helpers/cli/run-cli.ts';

const base = mkdtempSync(join(tmpdir(), 'proposed-'));
after(() => rmSync(base, { recursive: true }));
const always = ['cleanup', 'check-daily', 'check-weekly', 'drill-monthly'];

test('each target has what it has to back up', async () => {
  const proposed = async (targets: object): Promise<string[]> => {
    const document = { repository: 'file:///r', encryption: { enabled: false }, targets };
    const { config } = await loadConfig({ cwd: base, env: {}, document });
    return proposedSchedules(config, 'UTC').map(({ id }) => id);
  };
  const postgres = { url: 'postgres://db/shop' };
  assert.deepEqual(await proposed({ main: { postgres } }), ['database', ...always]);
  const all = { postgres: { ...postgres, base: {} }, redis: { url: 'redis://cache' }, files: { paths: ['/srv'] } };
  assert.deepEqual(await proposed({ main: all }), ['database', 'base', 'files', 'redis', ...always]);
  const two = { shop: { postgres }, blog: { files: { paths: ['/srv'] } } };
  assert.deepEqual(await proposed(two), ['database-shop', 'files-blog', ...always]);
});

test('init puts them into a new file, and into one without; never beside others', async () => {
  const folder = join(base, 'work');
  mkdirSync(folder);
  const file = join(folder, 'lifeboat.config.json');
  const env = { BACKUP_FILES: '/srv', BACKUP_STATE_DIR: join(base, 'state'), BACKUP_REPOSITORY: `file://${base}/r` };
  const init = async (exitCode: number): Promise<string> => {
    const ended = await runCli(['init', '--config', file, '--schedules'], { cwd: folder, env });
    assert.equal(ended.exitCode, exitCode, ended.stderr);
    const { config } = await loadConfig({ cwd: folder, env, configPath: file });
    assert.deepEqual(
      config.schedules.map(({ id }) => id),
      ['files', ...always],
    );
    return readFileSync(file, 'utf8');
  };
  const made = await init(0);
  assert.equal(await init(3), made, 'there are some');
  const { schedules: _, ...without } = JSON.parse(made) as { schedules: unknown };
  writeFileSync(file, JSON.stringify(without, undefined, 2).replace('{', '{ // mine'));
  assert.match(await init(0), /^\{ \/\/ mine/);
});
