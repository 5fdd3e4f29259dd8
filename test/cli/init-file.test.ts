/** The configuration file that init writes means the same as what it was made from, wherever that stood. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { runCli } from '../helpers/cli/run-cli.ts';

let work: string;
before(async () => {
  work = await mkdtemp(join(tmpdir(), 'init-file-'));
  await writeFile(join(work, 'url'), 'postgres://app:secret@db/shop\n', { mode: 0o600 });
  await writeFile(
    join(work, 'env'),
    `DATABASE_URL=postgres://app:secret@db/shop\nREDIS_URL=redis://cache\nBACKUP_ENCRYPTION_PASSPHRASE=words\n`,
    { mode: 0o600 },
  );
});
after(() => rm(work, { recursive: true, force: true }));

const sources: Readonly<
  Record<string, { argv?: string[]; env?: Record<string, string>; stays?: Record<string, string> }>
> = {
  variables: {
    env: { DATABASE_URL: 'postgres://app:secret@db/shop', REDIS_URL: 'redis://cache' },
    stays: { DATABASE_URL: 'postgres://app:secret@db/shop', REDIS_URL: 'redis://cache' },
  },
  'a file of variables': { argv: ['--env-file', 'env'] },
  'NAME_FILE and NAME_COMMAND': { env: { DATABASE_URL_FILE: './url', REDIS_URL_COMMAND: 'echo redis://cache' } },
  'PG variables': {
    env: { PGHOST: 'db', PGUSER: 'app', PGPASSWORD: 'secret', PGDATABASE: 'shop', REDIS_URL: 'redis://cache' },
    stays: { PGHOST: 'db', PGUSER: 'app', PGPASSWORD: 'secret', PGDATABASE: 'shop', REDIS_URL: 'redis://cache' },
  },
};

for (const [name, { argv = [], env = {}, stays = {} }] of Object.entries(sources)) {
  test(`made from ${name}`, async () => {
    const folder = await mkdtemp(join(work, 'made-'));
    for (const each of ['env', 'url']) {
      await writeFile(join(folder, each), await readFile(join(work, each)), { mode: 0o600 });
    }
    const state = { BACKUP_STATE_DIR: join(folder, 'state'), PATH: '/usr/bin:/bin' };
    const made = await runCli(['init', '--repository', `file://${folder}/repository`, ...argv], {
      cwd: folder,
      env: { ...state, ...env },
    });
    assert.equal(made.exitCode, 0, made.stderr);
    const text = await readFile(join(folder, 'lifeboat.config.json'), 'utf8');
    assert.doesNotMatch(text, /secret|words/, 'the file holds no secret');
    // From another working directory, with nothing of what it was made from but what init says is needed.
    await mkdir(join(folder, 'elsewhere'));
    const { config } = await loadConfig({
      cwd: join(folder, 'elsewhere'),
      env: { ...state, ...stays },
      configPath: join(folder, 'lifeboat.config.json'),
    });
    const target = config.targets.get('main');
    assert.equal(target?.postgres?.url.reveal(), 'postgres://app:secret@db:5432/shop');
    assert.equal(target?.redis?.url.reveal(), 'redis://cache');
    assert.ok(config.encryption.key !== undefined || config.encryption.passphrase?.reveal() === 'words');
    const recipe = made.stdout.includes('cron does not know');
    assert.equal(recipe, Object.keys(stays).length > 0, made.stdout);
  });
}
