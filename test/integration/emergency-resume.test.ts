/**
 * Emergency restores that are cut short, run twice, or share a state folder; services that hang; two databases and two
 * folders; the runbook's own commands.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import type { AuditResult } from '../../src/operations/audit/audit.ts';
import type { EmergencyStatusResult } from '../../src/operations/emergency/status.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { assertFailed, makeBench, namesBelow, testKey } from '../helpers/cli/command-run.ts';
import { servicesDone, startEmergencyTargets, type EmergencyTargets } from '../helpers/cli/emergency-targets.ts';
import type { EmergencyResult } from '../../src/operations/emergency/request.ts';

type Done = Extract<EmergencyResult, { outcome: 'done' }>;

const journal = String.raw`/emergency/[^/]+/main\.json$`;
const line = 'emergency-restore restore --confirm main --no-backup';
let targets: EmergencyTargets;

before(async () => {
  targets = await startEmergencyTargets();
});
after(async () => targets?.[Symbol.asyncDispose]());
afterEach(async () => {
  targets.writeConfig();
  await targets.dropAsides();
});

/** What is dead, but was not waited for by anybody, does not count. */
function runs(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

async function unfinished(): Promise<EmergencyStatusResult['targets'][number]['unfinished']> {
  const document = await targets.bench.json<EmergencyStatusResult>('emergency-restore status');
  documents['emergency-status'].parse(document);
  return document.targets[0]?.unfinished;
}

test('killed between a swap and its note: nothing is swapped twice, what was written since stays', async () => {
  const { bench, postgres, redis, folders, makeWrong, killedAt, asides } = targets;
  const resume = 'emergency-restore restore --resume';
  const killed = async (command: string, when: string): Promise<void> =>
    assert.equal((await killedAt(command, when)).exitCode, 137, when);
  await makeWrong();
  // The first entry, two of stopping services, that databases are begun, one for each database that is made; then that
  // they are done.
  await killed(line, `before 7 ${journal}`);
  assert.equal((await asides()).kept.length, 2);
  await postgres.query('shop', "INSERT INTO item VALUES (1000, 'in between')");
  // Going on, Redis is begun, its source noted, and done.
  await killed(resume, `before 6 ${journal}`);
  assert.equal(redis.cli(['EXISTS', 'wrong']).trim(), '0');
  redis.cli(['SET', 'between', '1']);
  await killed(resume, 'after 1 /one_before_[^/]*$');
  assert.deepEqual([existsSync(folders[0] ?? ''), existsSync(folders[1] ?? '')], [false, true]);
  // The first folder is put in place; then the second is restored, whole under its own name and not yet swapped.
  await killed(resume, 'before 1 /two_before_[^/]*$');
  assert.ok(existsSync(join(folders[0] ?? '', 'file-0')));
  writeFileSync(join(folders[0] ?? '', 'between'), '');
  const { done = [], left = [], pid } = (await unfinished()) ?? {};
  assert.deepEqual(
    [done, left, pid],
    [['stop-services', 'restore-database', 'restore-redis'], ['restore-files', 'start-services', 'check'], undefined],
  );
  const result = await bench.json<Done>(resume);
  documents['emergency-restore'].parse(result);
  assert.match(
    result.steps.flatMap(({ notes }) => notes).join(),
    /kept as shop_before_.*--undo shop_before_.*kept as .*one_before_/,
  );
  const { kept, leftovers } = await asides();
  assert.deepEqual([kept.length, leftovers], [4, []], kept.join());
  assert.deepEqual(await postgres.query('shop', 'DELETE FROM item WHERE id = 1000 RETURNING name'), [
    { name: 'in between' },
  ]);
  assert.equal(redis.cli(['DEL', 'between']).trim(), '1');
  rmSync(join(folders[0] ?? '', 'between'));
  await targets.assertRight();
  assert.equal(await unfinished(), undefined);
  const { records } = await bench.json<AuditResult>('audit --command emergency-restore');
  assert.equal(records.filter(({ step }) => step === 'begin').length, 5);
  assert.match(
    records.findLast(({ step }) => step === 'begin')?.message ?? '',
    /gone on with.*restore-files, start-services, check/,
  );
  await bench.nothingLeft();
});

test('all was lost, and it is killed when a database is there but not noted: it is not made again', async () => {
  await targets.makeLost();
  assert.equal((await targets.killedAt(line, `before 7 ${journal}`)).exitCode, 137);
  await targets.bench.json('emergency-restore restore --resume');
  await targets.assertRight();
  assert.deepEqual(await targets.asides(), { kept: [], leftovers: [] });
});

test('a second run is refused while the first one is at work, and goes on when that was killed', async () => {
  const { bench, services, writeConfig } = targets;
  const go = join(bench.folder, 'go');
  writeConfig({
    stopServices: ['/bin/sh', '-c', `until [ -e ${go} ]; do sleep 0.1; done`],
    startServices: ['/bin/sh', '-c', `echo start >> ${services}`],
  });
  await targets.makeWrong();
  const first = await bench.start(line);
  await first.said(/emergency step 1 of/);
  assertFailed(
    await bench.run(`${line} -q`),
    11,
    /another emergency restore of target main is under way.*"emergency-restore" of .*pid/,
    /lifeboat unlock emergency-main --alive; lifeboat emergency-restore restore --resume --target main/,
  );
  assertFailed(await bench.run('emergency-restore restore --resume -q'), 11, /another emergency restore/);
  assert.equal((await unfinished())?.pid, first.pid);
  // Without its lease, as where the repository cannot be written to, the journal still tells.
  rmSync(join(bench.repository, 'locks', 'emergency-main'), { recursive: true });
  assertFailed(
    await bench.run(`${line} -q`),
    11,
    new RegExp(`runs on this host: process ${first.pid} of`),
    new RegExp(`kill ${first.pid}.*--resume --target main`),
  );
  first.kill('SIGKILL');
  await first.result;
  writeFileSync(go, '');
  await bench.json('emergency-restore restore --resume');
  await targets.assertRight();
});

test('two repositories and one state folder: each has its own journal', async () => {
  const { bench } = targets;
  await targets.makeWrong();
  assert.equal((await targets.killedAt(line, `before 3 ${journal}`)).exitCode, 137);
  const before = namesBelow(join(bench.stateDir, 'emergency')).filter((name) => name.endsWith('/main.json'));
  await using other = makeBench({ BACKUP_STATE_DIR: bench.stateDir, BACKUP_FILES: join(bench.folder, 'elsewhere') });
  mkdirSync(join(bench.folder, 'elsewhere'));
  writeFileSync(join(bench.folder, 'elsewhere', 'x'), 'x');
  await other.json('init');
  await other.backup();
  assertFailed(
    await other.run('emergency-restore restore --resume -q'),
    10,
    /no emergency restore of target main from file:.* was interrupted/,
  );
  await other.json(line);
  assert.ok(
    before.every(
      (name) =>
        (JSON.parse(readFileSync(join(bench.stateDir, 'emergency', name), 'utf8')) as { finishedAt?: string })
          .finishedAt === undefined,
    ),
  );
  await bench.json('emergency-restore restore --resume');
  await targets.assertRight();
});

test(
  'a command for services that hangs is ended with all that it ' +
    'started; one that leaves a daemon keeps nobody waiting',
  async () => {
    const { bench, writeConfig } = targets;
    const pids = join(bench.folder, 'pids');
    const start = ['/bin/sh', '-c', `sleep 300 & echo $! > ${pids}`];
    writeConfig({
      stopServices: ['/bin/sh', '-c', `echo halting; sleep 301 & echo $! > ${pids}; wait`],
      startServices: start,
      serviceTimeoutSeconds: 1,
    });
    await targets.makeWrong();
    assertFailed(
      await bench.run(`${line} -q`),
      16,
      /services cannot be stopped: it ran longer than 1.0 s and was ended: halting/,
      /run it by hand.*serviceTimeoutSeconds.*--resume --target main/,
    );
    assert.equal(runs(Number(readFileSync(pids, 'utf8'))), false, 'its child runs on');
    writeConfig({ stopServices: ['/bin/true'], startServices: start, serviceTimeoutSeconds: 20 });
    const { durationMs } = await bench.json<Done>('emergency-restore restore --resume');
    const daemon = Number(readFileSync(pids, 'utf8'));
    assert.ok(runs(daemon));
    process.kill(daemon);
    assert.ok(durationMs < 100_000);
    await targets.assertRight();
  },
);

test('PostgreSQL is down: the rest can be restored', async () => {
  await targets.makeWrong();
  await targets.postgres.kill();
  try {
    assertFailed(
      await targets.bench.run(`${line} -q`),
      13,
      /database cannot be restored/,
      /DATABASE_URL.*--redis-only --files-only/,
    );
    await targets.bench.json(`${line} --files-only`);
  } finally {
    await targets.postgres.start();
  }
  await targets.bench.json(`${line} --database-only`);
  await targets.bench.json(`${line} --redis-only`);
  await targets.assertRight();
});

test('a plan no longer fits when a newer backup, or another database, is there', async () => {
  const { bench, postgres, id } = targets;
  await targets.makeWrong();
  const file = join(bench.folder, 'plan.json');
  const plan = async (what = ''): Promise<void> => {
    rmSync(file, { force: true });
    await bench.json(`emergency-restore restore ${what} --no-backup --plan-out ${file}`);
  };
  await plan();
  await postgres.query('postgres', 'ALTER DATABASE stock RENAME TO stocks');
  assertFailed(
    await bench.run(`emergency-restore restore --apply ${file} --confirm main -q`),
    18,
    /no longer fits: database there was .*shop, stock/,
    /make a new plan/,
  );
  await postgres.query('postgres', 'ALTER DATABASE stocks RENAME TO stock');
  const { id: newer } = await bench.backup('backup');
  assertFailed(
    await bench.run(`emergency-restore restore --apply ${file} --confirm main -q`),
    18,
    new RegExp(`no longer fits: the backup was .*${id}.*${newer}`),
    new RegExp(`restore ${id} --target main --plan-out`),
  );
  await plan(id);
  await bench.json(`emergency-restore restore --apply ${file} --confirm main`);
  await targets.assertRight();
  const manifest = `manifests/${newer}.json`;
  rmSync(join(bench.repository, manifest));
  await bench.json(`acknowledge rollback:${manifest}`);
});

test("the runbook's commands do what it says; each backup holds the runbook of its day", async () => {
  const { bench, id } = targets;
  const { text } = await bench.json<{ text: string }>('runbook');
  assert.ok(!text.includes(testKey) && !text.includes('<target>'), text);
  for (const part of [
    `main: PostgreSQL at ${targets.postgres.socketDir}`,
    'databases shop, stock',
    `main: Redis at 127.0.0.1:${targets.redis.port}`,
    `main: files in ${targets.folders.join(', ')}`,
  ]) {
    assert.ok(text.includes(part), `${part} is missing in ${text}`);
  }
  const held = await bench.json<{ text: string }>(`runbook --from ${id}`);
  assert.match(held.text, /^# When everything is lost.*emergency-restore restore --target main --dry-run/s);
  const commands = [
    ...new Set([...text.matchAll(/`(\/[^`]*lifeboat\.js [^`]+)`/g)].map(([, command]) => command ?? '')),
  ].map((command) => command.replace('<id>', id).split(' ').slice(1));
  assert.ok(commands.length >= 14, commands.join('\n'));
  await targets.makeWrong();
  const file = join(bench.folder, 'runbook-plan.json');
  for (const words of commands.map((each) => each.map((word) => (word === 'plan.json' ? file : word)))) {
    const said = words.join(' ');
    const restores = said.includes('emergency-restore restore') && !/--dry-run|--plan-out|--resume/.test(said);
    const command = said.includes('--tables')
      ? said.replace('<schema.table>', 'public.item').replace('<name>', 'shop')
      : said;
    const { exitCode, stderr } = await bench.run([...command.split(' '), ...(restores ? ['--confirm', 'main'] : [])]);
    // Nothing was interrupted, and no drill of the runbook's has proven anything yet.
    assert.ok(
      [0, 3].includes(exitCode) ||
        (exitCode === 10 && said.includes('--resume')) ||
        (exitCode === 18 && said.includes('--apply')),
      `${said}: ${exitCode} ${stderr}`,
    );
    if (restores && !said.includes('--apply')) await targets.assertRight();
  }
  assert.ok(servicesDone(targets).includes('start'));
});
