/**
 * status and acknowledge on a real repository: the verdict follows what happens to it, with the servers down, and from
 * the repository and this host's state alone.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { surveyCertificates } from '../../src/operations/status/survey-certificates.ts';
import type { ListResult, ShowResult } from '../../src/operations/list/request.ts';
import type { AcknowledgeResult, StatusResult } from '../../src/operations/status/request.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import type { DrillResult } from '../../src/operations/drill/request.ts';

let bench: Bench;
let folder: string;

before(async () => {
  bench = makeBench();
  folder = join(bench.folder, 'files');
  mkdirSync(folder);
  for (let n = 0; n < 20; n++) writeFileSync(join(folder, `f${n}`), `content ${n} `.repeat(1000));
  bench.env = { ...bench.env, BACKUP_FILES: folder };
  // The disk of the test machine is none of the test's business.
  writeFileSync(
    join(bench.folder, 'lifeboat.config.json'),
    JSON.stringify({ monitoring: { storagePercent: 100 }, schedules: [{ id: 'nightly', cronExpression: '@daily' }] }),
  );
  await bench.json('init');
});
after(() => bench?.[Symbol.asyncDispose]());

const look = async (exitCode: number, line = 'status'): Promise<StatusResult> => {
  const result = await bench.json<StatusResult>(line, { exitCode });
  documents.status.parse(result);
  return result;
};
const ids = ({ reasons }: StatusResult): string[] =>
  reasons.filter(({ acknowledged }) => acknowledged === undefined).map(({ id }) => id.replace(/:\d{4}.*$/, ''));

test('no backup: unhealthy; one: degraded until proven; then healthy, with a measured restore time', async () => {
  const empty = await look(19);
  assert.equal(empty.verdict, 'unhealthy');
  assert.deepEqual(ids(empty), ['no-backup:main:files']);
  assert.equal(empty.next, 'lifeboat backup --target main');

  const { id } = await bench.backup();
  const fresh = await look(3);
  assert.deepEqual(ids(fresh), ['unproven:main']);
  assert.equal(fresh.targets[0]?.newest?.state, 'stored');
  assert.deepEqual(
    [fresh.targets[0]?.restoreTime?.basis, fresh.targets[0]?.restoreTime?.assumption !== undefined],
    ['assumed', true],
  );

  const { backups } = await bench.json<DrillResult>('integrity --drill');
  const proven = await look(0);
  assert.equal(proven.verdict, 'healthy');
  assert.deepEqual(proven.reasons, []);
  const [target] = proven.targets;
  assert.deepEqual([target?.newest?.id, target?.newest?.state, target?.newestProven?.id], [id, 'proven', id]);
  assert.equal(target?.restoreTime?.basis, 'measured');
  assert.ok(Math.abs((target?.restoreTime?.ms ?? 0) - (backups[0]?.restoreMs ?? -99)) <= 2);
  assert.deepEqual(
    target?.moments.map((moment) => [moment.id, moment.state, moment.isDamaged]),
    [[id, 'proven', false]],
  );
  assert.deepEqual([target?.analytics.successes, target?.analytics.failures, target?.analytics.successRate], [1, 0, 1]);
  const text = await bench.run('status');
  assert.equal(text.exitCode, 0);
  const lines = [
    '^healthy',
    'target main',
    '  newest .*proven [0-9]{4}-.*',
    '  scheduled files: nightly, was due .*, next .*',
    '  proven .*',
    '  restore   about .*measured by the drill',
  ];
  assert.match(text.stdout, new RegExp(lines.join('\n')));
  assert.match(text.stdout, /packs \S+ \S+, of that at most [0-5] % dead/);
  const [component] = target?.components ?? [];
  assert.deepEqual(component?.schedules, ['nightly']);
  const midnight = (days: number): string => new Date(new Date().setHours(24 * days, 0, 0, 0)).toISOString();
  assert.ok(
    [midnight(0), midnight(-1)].includes(component?.dueAt ?? '') && component?.nextAt === midnight(1),
    JSON.stringify(component),
  );
  assert.deepEqual(proven.wal, []);
});

test('list and show tell states with time and duration, holds, and tags that were added later', async () => {
  await bench.run(['hold', 'latest', '--reason', 'before the audit', '--tag', 'audit']);
  const {
    backups: [held],
  } = await bench.json<ListResult>('list --tag audit');
  assert.ok(held !== undefined);
  documents.list.parse(await bench.json('list'));
  assert.deepEqual([held.tags, held.hold?.reason, held.standing?.state], [['audit'], 'before the audit', 'proven']);
  assert.ok(
    (held.standing?.checked?.durationMs ?? 0) > 0 &&
      (held.standing?.decoded?.durationMs ?? 0) > 0 &&
      (held.standing?.proven?.durationMs ?? 0) > 0,
  );
  assert.deepEqual((await bench.json<ListResult>('list --tag other')).backups, []);
  assert.match(
    (await bench.run('list')).stdout,
    /proven \d{4}-\d\d-\d\d \S+ \([\d.]+ m?s\) +on hold: before the audit, #audit/,
  );
  const shown = await bench.json<ShowResult>('show latest');
  documents.show.parse(shown);
  assert.deepEqual(shown.backup.hold, held.hold);
  assert.match((await bench.run('show latest')).stdout, /\nhold +since .*: before the audit\ntags +audit\n/);
  await bench.run('release latest --tag audit');
  const { backup } = await bench.json<ShowResult>('show latest');
  assert.deepEqual([backup.hold, backup.tags], [undefined, []]);
});

test('--max-age', async () => {
  assert.deepEqual(ids(await look(19, 'status --max-age 0.001s')), ['stale:main:files']);
  await look(0, 'status --max-age 1h');
  assertFailed(await bench.run('status --target nowhere'), 2, /there is no target nowhere/);
});

test('a failed run is remembered with its reason; the source may be gone', async () => {
  rmSync(folder, { recursive: true });
  const failed = await bench.run('backup');
  assert.notEqual(failed.exitCode, 0);
  const result = await look(3);
  assert.deepEqual(ids(result), ['last-run:main', 'failure-rate:main']);
  assert.ok(result.reasons[0]?.message.includes(`exit code ${failed.exitCode}`));
  assert.equal(result.targets[0]?.analytics.failures, 1);
  const lines = readFileSync(join(bench.stateDir, 'runs.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { outcome: string }).outcome);
  assert.deepEqual(lines, ['ok', 'failed']);
});

test('a warning that is meant to be counts no more; one that cannot be, or is absent, is refused', async () => {
  for (const { id } of (await look(3)).reasons) {
    const said = await bench.json<AcknowledgeResult>(['acknowledge', id, '--reason', 'moved the folder']);
    documents.acknowledge.parse(said);
  }
  const result = await look(0);
  assert.equal(result.verdict, 'healthy');
  assert.deepEqual(
    result.reasons.map(({ acknowledged }) => acknowledged?.reason),
    ['moved the folder', 'moved the folder'],
  );
  assertFailed(await bench.run('acknowledge nothing'), 10, /has no warning "nothing"/);
});

test('a backup much smaller than those before is told; its acknowledgement is in the repository', async () => {
  mkdirSync(folder);
  writeFileSync(join(folder, 'big'), Buffer.alloc(3_000_000, 'x'));
  for (let n = 0; n < 4; n++) await bench.backup();
  writeFileSync(join(folder, 'big'), 'small');
  const { id } = await bench.backup();
  const result = await look(3);
  assert.deepEqual(
    result.reasons.filter(({ acknowledged }) => acknowledged === undefined).map((each) => each.id),
    [`size:${id}`],
  );
  await bench.json(`acknowledge size:${id}`);
  rmSync(join(bench.stateDir, 'repositories'), { recursive: true });
  assert.ok(!(await look(3)).reasons.some((each) => each.id === `size:${id}`));
});

test('a damaged manifest and a repository that was put back are unhealthy', async () => {
  const { id } = await bench.backup();
  const path = join(bench.repository, 'manifests', `${id}.json`);
  const bytes = readFileSync(path);
  truncateSync(path, 100);
  const damaged = await look(19);
  assert.ok(damaged.reasons.some((each) => each.id === `damaged:${id}` && each.weight === 'unhealthy'));
  assertFailed(await bench.run(['acknowledge', `damaged:${id}`]), 2, /cannot be acknowledged/);
  rmSync(path);
  const gone = await look(19);
  assert.ok(
    gone.reasons.some((each) => each.id === `rollback:manifests/${id}.json`),
    JSON.stringify(gone.reasons),
  );
  writeFileSync(path, bytes);
  assert.ok(!(await look(3)).reasons.some(({ weight }) => weight === 'unhealthy'));
});

test('certificates of the configuration are looked at; of a bundle the last one counts', async () => {
  const make = (name: string, days: number): string => {
    const path = join(bench.folder, name);
    const args = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=test'];
    execFileSync('openssl', [...args, '-days', String(days), '-out', path], { stdio: 'ignore' });
    return path;
  };
  const [soon, late] = [make('soon.pem', 5), make('late.pem', 400)];
  const bundle = join(bench.folder, 'bundle.pem');
  writeFileSync(bundle, readFileSync(soon, 'utf8') + readFileSync(late, 'utf8'));
  const parameters = `sslcert=${soon}&sslrootcert=${join(bench.folder, 'none.pem')}`;
  const { config } = await loadConfig({
    cwd: bench.folder,
    env: { BACKUP_STATE_DIR: bench.stateDir },
    document: {
      repository: `file://${bench.repository}`,
      targets: {
        shop: { postgres: { url: `postgres://127.0.0.1/shop?${parameters}` } },
        cache: { redis: { url: 'rediss://127.0.0.1', caFile: bundle, certFile: soon } },
      },
    },
    need: { targets: 'all' },
  });
  const found = await surveyCertificates(config, undefined);
  const inDays = ({ endsMs }: { readonly endsMs: number }): number => Math.round((endsMs - Date.now()) / 86_400_000);
  assert.deepEqual(
    found.map((each) => [each.target, each.path, inDays(each)]),
    [
      ['shop', soon, 5],
      ['cache', soon, 5],
      ['cache', bundle, 400],
    ],
  );
  assert.deepEqual(await surveyCertificates(config, 'other'), []);
});
