/**
 * The alerts and the dashboard of examples/prometheus with a real Prometheus that scrapes a live daemon: every metric
 * that they name is there, every panel has data, and every alert fires in its situation. Times of hours are shortened
 * for that; with their own they are tried by promtool.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../src/config/load.ts';
import { makeBench, type Bench, type RunningCommand } from '../helpers/cli/command-run.ts';
import { HeldDump, inForceSince } from '../helpers/cli/daemon.ts';
import { walShipper } from '../helpers/cluster/wal-shipper.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { promtool } from '../helpers/servers/prometheus.ts';
import { freePort } from '../helpers/servers/redis.ts';

const examples = join(import.meta.dirname, '../../examples/prometheus');
const read = (name: string): string => readFileSync(join(examples, name), 'utf8');
const alertNames = [...read('alerts.yml').matchAll(/alert: (\w+)/g)].map(([, name = '']) => name);

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}
const { panels } = JSON.parse(read('grafana-dashboard.json')) as Dashboard;

let bench: Bench;
let server: TestPostgres;
let dump: HeldDump;
const shipper = walShipper();
let daemon: RunningCommand;
let daemonPort: number;
let prometheus: ChildProcess | undefined;
let prometheusPort: number;

const hourly = (
  id: string,
  type: string,
  more: object = {},
): { readonly id: string; readonly [key: string]: unknown } => ({
  id,
  type,
  cronExpression: '0 * * * *',
  graceMinutes: 1,
  attempts: 1,
  ...more,
});
const own = [
  hourly('held', 'database'),
  hourly('failing', 'files', { options: { target: 'broken' } }),
  hourly('well', 'cleanup'),
];

function configure(schedules: readonly object[]): void {
  const files = (name: string): object => ({ files: { paths: [join(bench.folder, name)] } });
  const main = { postgres: { url: server.url(), databases: ['postgres'], base: {} }, ...files('files') };
  const targets = { main, bare: files('files'), broken: files('missing') };
  const notifications = { channels: { nobody: { type: 'webhook', url: 'http://127.0.0.1:9/' } } };
  const document = { targets, schedules, notifications, monitoring: { storageBudgetGb: 0.000_001 } };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify(document));
}

before(async () => {
  server = await startPostgres({
    initdbArgs: ['--wal-segsize=1'],
    settings: { archive_mode: 'on', archive_command: shipper.command },
  });
  bench = makeBench({ BACKUP_TARGET: 'main' });
  chmodSync(bench.folder, 0o755);
  dump = new HeldDump(bench.folder, server.binDir);
  bench.env = { ...bench.env, BACKUP_POSTGRES_BIN: dump.binDir };
  mkdirSync(join(bench.folder, 'files'));
  writeFileSync(join(bench.folder, 'files/a'), 'a'.repeat(10_000));
  configure([]);
  await bench.json('init');
  await beginArchiving();
  for (const type of ['base', 'database', 'files']) await bench.backup(`backup ${type}`);
  await bench.run('integrity --drill latest');
  for (let n = 0; n < 5; n++) await server.query('postgres', `CREATE TABLE t${n} (); SELECT pg_switch_wal()`);
});
after(async () => {
  prometheus?.kill('SIGKILL');
  await server?.stop();
  await shipper[Symbol.asyncDispose]();
  await bench?.[Symbol.asyncDispose]();
});

async function beginArchiving(): Promise<void> {
  const [row] = await server.query('postgres', 'SELECT system_identifier AS v FROM pg_control_system()');
  shipper.begin(await loadConfig({ cwd: bench.folder, env: bench.env }), row?.['v'] ?? '');
}

test('the rules and their tests hold; every alert has a situation that raises it, and one that ends it', async () => {
  await promtool(['check', 'config', 'prometheus.yml'], '', examples);
  await promtool(['test', 'rules', 'alerts.test.yml'], '', examples);
  const text = read('alerts.test.yml');
  for (const name of alertNames) {
    const checks = text.split(`alertname: ${name}\n`).slice(1);
    assert.ok(
      checks.some((each) => each.startsWith('        exp_alerts:\n')),
      `${name} never fires`,
    );
    assert.ok(
      checks.some((each) => each.startsWith('        exp_alerts: []')),
      `${name} never ends`,
    );
  }
});

test('a live daemon has all metrics that rules and panels name; panels have data; alerts fire, and clear', async () => {
  await makeSituations();
  daemonPort = await freePort();
  prometheusPort = await freePort();
  daemon = await bench.start(['daemon', '--listen', `127.0.0.1:${daemonPort}`]);
  const held = await dump.held();
  await daemon.said(/"component":"failing","message":"(?!begins)/);
  startPrometheus();
  await until(async () => (await metricNames()).has('lifeboat_schedule_last_success_timestamp_seconds'), 'one ran');

  const lasting = alertNames.filter((name) => !passing.has(name));
  await until(
    async () => isSubset(lasting, await firing()),
    async () => `not firing: ${missing(lasting, await firing())}`,
  );
  const seen = await metricNames();
  const named = new Set(
    [...read('alerts.yml').matchAll(/expr: (.*(?:\n {10}.*)*)/g), ...panels.flatMap(({ targets }) => targets)]
      .map((each) => ('expr' in each ? each.expr : (each[1] ?? '')))
      .flatMap((expr) => expr.match(/\b(?:lifeboat|backup)_\w+/g) ?? []),
  );
  assert.ok(named.size > 30);
  assert.deepEqual(
    [...named].filter((name) => !seen.has(name)),
    [],
  );
  for (const { title, targets } of panels) {
    for (const { expr } of targets) assert.ok((await query(expr)).length > 0, `${title}: ${expr}`);
  }

  // What passes: each is made, fires, and ends with its cause.
  process.kill(held, 'SIGCONT');
  await ends('LifeboatJobHung');
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), '{"schedules": 1}');
  daemon.kill('SIGHUP');
  await fires('LifeboatConfigNotCurrent');
  configure(own);
  daemon.kill('SIGHUP');
  await ends('LifeboatConfigNotCurrent');
  renameSync(bench.repository, `${bench.repository}-away`);
  daemon.kill('SIGHUP');
  await fires('LifeboatRepositoryUnreachable');
  renameSync(`${bench.repository}-away`, bench.repository);
  daemon.kill('SIGHUP');
  await ends('LifeboatRepositoryUnreachable');
  daemon.kill('SIGTERM');
  await daemon.result;
  await fires('LifeboatNotScraped');
  await bench.nothingLeft();
});

/** They are there for a moment only. */
const passing = new Set(['LifeboatNotScraped', 'LifeboatConfigNotCurrent', 'LifeboatRepositoryUnreachable']);

/** Schedules that are due, of which one nobody runs; log that is missing, and an archiver that fails. */
async function makeSituations(): Promise<void> {
  const lost = hourly('lost', 'cleanup');
  configure([...own, lost]);
  for (const { id } of [...own, lost]) await inForceSince(bench, id, 3);
  configure(own);
  dump.hold();
  await shipper[Symbol.asyncDispose]();
  const [cluster = ''] = readdirSync(join(bench.repository, 'wal'));
  const segments = readdirSync(join(bench.repository, 'wal', cluster), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\/?[0-9A-F]{24}[^/]*$/.test(name))
    .toSorted();
  rmSync(join(bench.repository, 'wal', cluster, segments.at(-3) ?? ''));
  await server.query('postgres', "ALTER SYSTEM SET archive_command = 'false'");
  await server.query('postgres', 'SELECT pg_reload_conf()');
  await server.query('postgres', 'CREATE TABLE more AS SELECT generate_series(1, 100000) n; SELECT pg_switch_wal()');
}

/** With the rules of the examples, but hours shortened and waits left out. */
function startPrometheus(): void {
  const folder = join(bench.folder, 'prometheus');
  mkdirSync(folder);
  const shorter: readonly (readonly [string, string])[] = [
    ['> 3600\n', '> 1\n'],
    ['> 180\n', '> 1\n'],
    ['> 1800\n', '> 1\n'],
    ['> 900\n', '> 1\n'],
    ['> 26 * 3600\n', '> 1\n'],
    ['> 3 * 16777216\n', '> 0\n'],
    ['< 0.15\n', '< 1.1\n'],
  ];
  let rules = read('alerts.yml').replaceAll(/^ {8}for: .*\n/gm, '');
  for (const [from, to] of shorter) {
    assert.ok(rules.includes(from), from);
    rules = rules.replaceAll(from, to);
  }
  writeFileSync(join(folder, 'alerts.yml'), rules);
  const settings = read('prometheus.yml')
    .replaceAll(/_interval: 30s/g, '_interval: 1s')
    .replaceAll('127.0.0.1:9187', `127.0.0.1:${daemonPort}`);
  writeFileSync(join(folder, 'prometheus.yml'), settings);
  const args = [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${prometheusPort}`,
  ];
  prometheus = spawn('prometheus', args, { stdio: 'ignore' });
}

async function ask<T>(path: string): Promise<T | undefined> {
  const answer = await fetch(`http://127.0.0.1:${prometheusPort}/api/v1/${path}`).catch(() => undefined);
  return answer?.ok === true ? ((await answer.json()) as { data: T }).data : undefined;
}

async function query(expr: string): Promise<unknown[]> {
  return (await ask<{ result: unknown[] }>(`query?query=${encodeURIComponent(expr)}`))?.result ?? [];
}

async function firing(): Promise<string[]> {
  const data = await ask<{ alerts: { state: string; labels: { alertname: string } }[] }>('alerts');
  return (data?.alerts ?? []).filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname);
}

/** Of the newest scrape. */
async function metricNames(): Promise<Set<string>> {
  const text = await (await fetch(`http://127.0.0.1:${daemonPort}/metrics`)).text();
  return new Set([...text.matchAll(/^(\w+)[{ ]/gm)].map(([, name = '']) => name));
}

async function fires(name: string): Promise<void> {
  await until(async () => (await firing()).includes(name), `${name} fires`);
}

async function ends(name: string): Promise<void> {
  await until(async () => !(await firing()).includes(name), `${name} ends`);
}

/** The bound is for a fault, not for the machine's speed. */
async function until(isSo: () => Promise<boolean>, what: string | (() => Promise<string>)): Promise<void> {
  for (const giveUpAt = performance.now() + 120_000; !(await isSo()); await sleep(250)) {
    if (performance.now() > giveUpAt) assert.fail(typeof what === 'string' ? what : await what());
  }
}

const isSubset = (some: readonly string[], of: readonly string[]): boolean => some.every((each) => of.includes(each));
const missing = (some: readonly string[], of: readonly string[]): string =>
  some.filter((each) => !of.includes(each)).join(', ');
