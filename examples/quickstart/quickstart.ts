/**
 * The quickstart: a PostgreSQL, a Redis and a folder to throw away are backed up, destroyed, brought
 * back and compared, by the same commands that you would type. Start it with: npm run quickstart
 *
 * Everything is in one temporary folder, which is removed at the end, also on failure and Ctrl-C.
 * sample.ts makes the data, proof.ts compares, servers.ts starts the servers, stage.ts runs commands.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { compare, takeLikeness } from './proof.ts';
import { fill, liveOneDay, type Shop } from './sample.ts';
import { startPostgres, startRedis, systemPath, type Server } from './servers.ts';
import { heading, run, say, show, type Stage } from './stage.ts';

const startedMs = Date.now();
const stop = new AbortController();
let stoppedBy: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | undefined;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    stoppedBy ??= name;
    stop.abort(new Error(`stopped by ${name}`));
  });
}

const folder = mkdtempSync(join(isPassable(tmpdir()) ? tmpdir() : '/tmp', 'lifeboat-quickstart-'));
const servers: Server[] = [];
try {
  const equal = await quickstart();
  if (!equal) process.exitCode = 1;
} catch (error) {
  say(`\nThe quickstart has failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = stoppedBy === undefined ? 1 : 128 + constants.signals[stoppedBy];
} finally {
  for (const server of servers) await server.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  say(`The servers are stopped, and ${folder} is removed.`);
}

/** The whole story; true if what came back is what was lost. */
async function quickstart(): Promise<boolean> {
  heading('1. Something to protect');
  const { stage, shop } = await prepare();
  await fill(stage, shop);
  say(
    `PostgreSQL ${shop.postgres.version} with a shop of ${shop.orders.toLocaleString('en-US')} orders, Redis ` +
      `${shop.redis.version} with 20,000 sessions,`,
  );
  say(`and 500 pictures in ${shop.uploads}. All lifeboat is told about them:\n`);
  for (const name of ['DATABASE_URL', 'REDIS_URL', 'BACKUP_FILES', 'BACKUP_REPOSITORY']) {
    say(`  ${name}=${(stage.env[name] ?? '').replace(/:[^:@/]+@/, ':…@')}`);
  }

  heading('2. Set up, and a first backup');
  await show(stage, 'lifeboat init');
  await show(stage, 'lifeboat backup');

  heading('3. One day later: 1 % of the orders has changed, 1 % is new; a second backup');
  await liveOneDay(stage, shop);
  await show(stage, 'lifeboat backup');
  await show(stage, 'lifeboat list');
  say(await howSmall(stage));
  const before = await takeLikeness(stage, shop);

  heading('4. Disaster');
  await show(stage, 'dropdb shop', shop.postgres.env);
  await show(stage, `redis-cli -p ${shop.redis.env['REDIS_PORT'] ?? ''} FLUSHALL`, shop.redis.env);
  await show(stage, `rm -rf ${shop.uploads}`);

  heading('5. Everything back');
  await show(stage, 'lifeboat restore latest');

  heading('6. Is it the same? Counts, checksums, modes and owners, looked at without lifeboat');
  const equal = compare(before, await takeLikeness(stage, shop), say);
  say(equal ? '\nAll of it is equal.' : '\nNot all of it is equal: this is a bug in lifeboat, please report it.');

  heading('What was run');
  for (const command of stage.shown) say(`  ${command}`);
  say(`\nin ${stage.folder}, in ${Math.round((Date.now() - startedMs) / 1000)} seconds. Next: README.md, "Set up".`);
  return equal;
}

/** Starts the servers; commands will find lifeboat in PATH, and no setting but those made here. */
async function prepare(): Promise<{ stage: Stage; shop: Shop }> {
  // The server's user must pass through it to its own folder.
  chmodSync(folder, 0o711);
  const uploads = join(folder, 'uploads');
  for (const each of ['bin', 'project', 'tmp', 'uploads']) mkdirSync(join(folder, each));
  const root = dirname(dirname(import.meta.dirname));
  symlinkSync(join(root, 'bin/lifeboat.js'), join(folder, 'bin/lifeboat'));
  const postgres = await startPostgres(join(folder, 'postgres'), stop.signal);
  servers.push(postgres);
  const redis = await startRedis(join(folder, 'redis'), stop.signal);
  servers.push(redis);
  const env = {
    PATH: [join(folder, 'bin'), postgres.binFolder, systemPath].filter((each) => each !== '').join(':'),
    HOME: folder,
    TMPDIR: join(folder, 'tmp'),
    ...terminal(),
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    BACKUP_FILES: uploads,
    BACKUP_REPOSITORY: `file://${folder}/backups`,
    BACKUP_STATE_DIR: join(folder, 'state'),
  };
  return {
    stage: { folder: join(folder, 'project'), env, signal: stop.signal, shown: [] },
    shop: { postgres, redis, uploads, orders: 250_000 },
  };
}

/** How much the second backup added to the repository. */
async function howSmall(stage: Stage): Promise<string> {
  const { backups } = JSON.parse(await run(stage, 'lifeboat', ['list', '--json'])) as {
    backups: { storedBytes: number }[];
  };
  const [first, second] = backups.map(({ storedBytes }) => storedBytes);
  if (first === undefined || second === undefined) throw new Error('lifeboat list does not show two backups');
  const share = ((100 * second) / first).toFixed(1);
  return `The second backup is as complete as the first, and took ${share} % of the room.`;
}

/** May other users pass through? PostgreSQL, which does not run as root, must reach its data. */
function isPassable(path: string): boolean {
  return (statSync(path).mode & 0o001) !== 0 && (path === '/' || isPassable(dirname(path)));
}

/** What commands must know of this terminal. */
function terminal(): Record<string, string> {
  const names = ['TERM', 'NO_COLOR', 'CI', 'LANG'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
