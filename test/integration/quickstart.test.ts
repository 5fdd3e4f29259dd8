/**
 * The quickstart as a newcomer starts it; what it does on Ctrl-C; that its proof can fail; and that the
 * README shows what it prints.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { compare, takeLikeness } from '../../examples/quickstart/proof.ts';
import { fill, liveOneDay, psql, redisCli, type Shop } from '../../examples/quickstart/sample.ts';
import { startPostgres, startRedis, systemPath } from '../../examples/quickstart/servers.ts';
import type { Stage } from '../../examples/quickstart/stage.ts';
import { fencesOf, linesMissing } from '../helpers/cli/sample-output.ts';

const root = dirname(dirname(import.meta.dirname));
const work = mkdtempSync(join(tmpdir(), 'quickstart-'));
// PostgreSQL's user must pass through it.
chmodSync(work, 0o711);
after(() => rmSync(work, { recursive: true, force: true }));

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Starts it in an environment that names servers and a repository which must not be met; `during` sees each new piece
 * of output.
 */
async function run(
  argv: readonly string[],
  during: (stdout: string, kill: () => void) => void = () => {},
): Promise<Run> {
  const traps = {
    DATABASE_URL: 'postgres://trap@127.0.0.1:1/trap',
    REDIS_URL: 'redis://127.0.0.1:1',
    PGHOST: '/nowhere',
    BACKUP_REPOSITORY: 'file:///proc/trap',
    BACKUP_JOBS: 'no number',
  };
  const outer = Object.entries(process.env).filter(
    ([name]) => !/^npm_(package|lifecycle|command|execpath|node_execpath)/.test(name),
  );
  const [file = '', ...args] = argv;
  const child = spawn(file, args, {
    cwd: root,
    env: { ...Object.fromEntries(outer), ...traps, TMPDIR: work },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    during(stdout, () => child.kill('SIGINT'));
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

function left(): string[] {
  return readdirSync(work).filter((name) => name.startsWith('lifeboat-quickstart'));
}

test(
  'npm run quickstart: backs up, destroys, restores, proves; leaves nothing; the README shows its output',
  { timeout: 900_000 },
  async () => {
    const { code, stdout, stderr } = await run(['npm', 'run', '--silent', 'quickstart']);
    assert.equal(code, 0, stdout + stderr);
    assert.equal(stdout.match(/^ {2}equal {6}/gm)?.length, 5);
    const commands = [
      '^\\$ lifeboat init$',
      '^\\$ lifeboat backup$',
      '^\\$ lifeboat backup$',
      '^\\$ lifeboat list$',
      '^\\$ dropdb shop$',
      'FLUSHALL$',
      '^\\$ rm -rf ',
      '^\\$ lifeboat restore latest$',
    ];
    assert.match(stdout, new RegExp(commands.join('[^]*'), 'm'));
    const percent = Number(/took ([\d.]+) % of the room/.exec(stdout)?.[1]);
    assert.ok(percent > 0 && percent < 10, `the second backup took ${percent} %`);
    assert.doesNotMatch(stdout, new RegExp(String.fromCodePoint(27)), 'no colours where there is no terminal');
    assert.deepEqual(left(), []);
    const [sample] = fencesOf(readFileSync(join(root, 'README.md'), 'utf8')).filter(({ text }) =>
      text.includes('Something to protect'),
    );
    assert.ok(sample, 'README.md shows the output of the quickstart');
    assert.deepEqual(linesMissing(sample.text, stdout), []);
  },
);

test('Ctrl-C in the midst of the backup: 130, and nothing is left', async () => {
  let stopped = false;
  const { code, stdout } = await run([process.execPath, 'examples/quickstart/quickstart.ts'], (text, interrupt) => {
    if (stopped || !text.includes('$ lifeboat backup')) return;
    stopped = true;
    setTimeout(interrupt, 1500);
  });
  assert.equal(code, 130, stdout);
  assert.match(stdout, /stopped by SIGINT[\s\S]*The servers are stopped/);
  assert.deepEqual(left(), []);
});

test('its proof can fail: it names what differs by one row, one key, one time or one index', async () => {
  const { signal } = new AbortController();
  const folder = mkdtempSync(join(tmpdir(), 'proof-'));
  const uploads = join(folder, 'uploads');
  mkdirSync(uploads);
  chmodSync(folder, 0o711);
  const postgres = await startPostgres(join(folder, 'postgres'), signal);
  const redis = await startRedis(join(folder, 'redis'), signal).catch(async (error: unknown) => {
    await postgres.stop();
    throw error;
  });
  try {
    const stage: Stage = { folder, env: { PATH: `${postgres.binFolder}:${systemPath}` }, signal, shown: [] };
    const shop: Shop = { postgres, redis, uploads, orders: 3000 };
    await fill(stage, shop);
    await liveOneDay(stage, shop);
    let before = await takeLikeness(stage, shop);
    assert.ok(compare(before, await takeLikeness(stage, shop), () => {}));
    const changes: Readonly<Record<string, () => unknown>> = {
      'table order': () => psql(stage, postgres, 'shop', `UPDATE "order" SET lines = lines || '[1]' WHERE id = 777`),
      'table customer': () => psql(stage, postgres, 'shop', `UPDATE customer SET name = name || ' ' WHERE id = 5`),
      schema: () => psql(stage, postgres, 'shop', 'DROP INDEX order_customer_placed_idx'),
      redis: () => redisCli(stage, redis, ['HSET', 'session:777', 'cart', '8']),
      uploads: () => utimesSync(join(uploads, '2026-03', 'picture 100.jpg'), 1, 2),
    };
    for (const [name, change] of Object.entries(changes)) {
      await change();
      const now = await takeLikeness(stage, shop);
      const lines: string[] = [];
      assert.equal(
        compare(before, now, (line) => lines.push(line)),
        false,
      );
      assert.deepEqual(
        lines.filter((line) => line.includes('DIFFERENT')).map((line) => line.slice(13, 29).trim()),
        [name],
      );
      before = now;
    }
  } finally {
    await Promise.all([postgres.stop(), redis.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
});
