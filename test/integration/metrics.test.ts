/** `lifeboat metrics` with real receivers: what it prints, writes and sends, and what it says where it cannot. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MetricsResult } from '../../src/operations/metrics/request.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { freePort } from '../helpers/servers/redis.ts';
import { promtool, valuesIn } from '../helpers/servers/prometheus.ts';

let bench: Bench;
const configure = (more: object = {}): void =>
  writeFileSync(
    join(bench.folder, 'lifeboat.config.json'),
    JSON.stringify({
      targets: { main: { files: { paths: [join(bench.folder, 'files')] } } },
      schedules: [
        { id: 'nightly', type: 'files', cronExpression: '0 2 * * *' },
        { id: 'never', type: 'cleanup', cronExpression: '0 3 * * *' },
      ],
      ...more,
    }),
  );

before(async () => {
  bench = makeBench();
  mkdirSync(join(bench.folder, 'files'));
  writeFileSync(join(bench.folder, 'files/a'), 'x'.repeat(100_000));
  configure();
  await bench.json('init');
  await bench.backup();
  await bench.json('schedule publish');
});
after(async () => bench?.[Symbol.asyncDispose]());

const files = '{target="main",component="files"}';

test('what is printed is what Prometheus reads, says what status says, and holds no id', async () => {
  const { exitCode, stdout, stderr } = await bench.run('metrics');
  assert.deepEqual([exitCode, stderr], [0, '']);
  await promtool(['check', 'metrics'], stdout);
  const values = valuesIn(stdout);
  assert.equal(values.get('lifeboat_repository_up'), 1);
  assert.equal(values.get(`lifeboat_backups${files}`), 1);
  const [id = ''] = bench.recorded();
  const taken = id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z.*$/, '$1-$2-$3T$4:$5:$6Z');
  const at = values.get(`lifeboat_newest_backup_timestamp_seconds${files}`) ?? 0;
  assert.equal(Math.floor(at), Date.parse(taken) / 1000);
  assert.equal(values.get('backup_total_backups{service="lifeboat"}'), 1);
  assert.equal(values.get('backup_duration_seconds{service="lifeboat",type="full"}') !== undefined, true);
  for (const labels of ['schedule="nightly",type="files",target="main"', 'schedule="never",type="cleanup",target=""']) {
    assert.equal(values.get(`lifeboat_schedule_overdue_seconds{${labels}}`), 0, labels);
  }
  assert.ok(!stdout.includes(id.slice(-8)) && !stdout.includes(id), 'no id of a backup');
  const { metrics, isUp } = await bench.json<MetricsResult>('metrics');
  assert.ok(isUp && metrics.some(({ name }) => name === 'lifeboat_restore_estimate_seconds'));
});

test('a repository that is away: that is shown, nothing of before is, and the exit code says why', async () => {
  const file = join(mkdtempSync(join(bench.folder, 'textfile-')), 'lifeboat.prom');
  assert.equal((await bench.run(['metrics', '--textfile', file])).exitCode, 0);
  assert.equal(statSync(file).mode & 0o777, 0o644);
  assert.equal(valuesIn(readFileSync(file, 'utf8')).get('lifeboat_repository_up'), 1);
  renameSync(bench.repository, `${bench.repository}-away`);
  try {
    const printed = await bench.run('metrics');
    assert.equal(printed.exitCode, 10);
    assert.match(printed.stderr, /the repository cannot be looked at: there is no repository/);
    assert.equal((await bench.run(['metrics', '--textfile', file])).exitCode, 10);
    for (const shown of [printed.stdout, readFileSync(file, 'utf8')]) {
      const values = valuesIn(shown);
      assert.equal(values.get('lifeboat_repository_up'), 0);
      assert.deepEqual(
        [...values.keys()].filter((name) => /backup|schedule|status|stored/.test(name)),
        [],
      );
    }
    const { isUp, failure } = await bench.json<MetricsResult>('metrics', { exitCode: 10 });
    assert.deepEqual([isUp, failure?.code], [false, 'not_found']);
  } finally {
    renameSync(`${bench.repository}-away`, bench.repository);
  }
  assert.deepEqual(readdirSync(join(file, '..')), ['lifeboat.prom']);
  const missing = await bench.run(['metrics', '--textfile', join(bench.folder, 'none/lifeboat.prom')]);
  assert.notEqual(missing.exitCode, 0);
  assert.match(missing.stderr, /cannot write the metrics to .*none/);
});

test('--serve answers from its last look, and says so when the repository goes away', async () => {
  const socketPath = join(bench.tmp, 'm.sock');
  const served = await bench.start(['metrics', '--serve', socketPath, '--every', '1s']);
  await served.said(/answers on/);
  const ask = async (): Promise<Map<string, number>> => {
    const [answer] = (await once(get({ socketPath, path: '/metrics' }), 'response')) as [IncomingMessage];
    return valuesIn(await text(answer));
  };
  assert.equal((await ask()).get(`lifeboat_backups${files}`), 1);
  renameSync(bench.repository, `${bench.repository}-away`);
  let seen = await ask();
  while (seen.get('lifeboat_repository_up') !== 0) {
    await sleep(100);
    seen = await ask();
  }
  assert.equal(seen.get(`lifeboat_backups${files}`), undefined);
  assert.ok((seen.get('lifeboat_repository_answer_timestamp_seconds') ?? 0) > 0);
  renameSync(`${bench.repository}-away`, bench.repository);
  while ((await ask()).get('lifeboat_repository_up') !== 1) await sleep(100);
  served.kill('SIGTERM');
  assert.equal((await served.result).exitCode, 0);
  assert.deepEqual(
    readdirSync(bench.tmp).filter((name) => name === 'm.sock'),
    [],
  );
  assert.equal((await bench.run('metrics --serve 0.0.0.0:1')).exitCode, 2);
});

describe('pushed', () => {
  let gateway: ChildProcess;
  let port: number;
  before(async () => {
    port = await freePort();
    gateway = spawn('prometheus-pushgateway', [`--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' });
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => undefined);
      if (answer?.ok === true) break;
      await sleep(50);
    }
  });
  after(() => gateway?.kill('SIGKILL'));

  test('to a Pushgateway, whose group is replaced', async () => {
    configure({ metrics: { pushgateway: { url: `http://127.0.0.1:${port}/`, job: 'a/b' }, service: 'shop' } });
    const { exitCode, stdout, stderr } = await bench.run('metrics --push');
    assert.deepEqual([exitCode, stdout], [0, ''], stderr);
    const seen = valuesIn(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
    assert.equal(seen.get('lifeboat_repository_up{instance="",job="a/b"}'), 1);
    assert.equal(seen.get('backup_total_backups{instance="",job="a/b",service="shop"}'), 1);
  });

  test('as datagrams of DogStatsD', async () => {
    const agent = createSocket('udp4');
    agent.bind(0, '127.0.0.1');
    await once(agent, 'listening');
    const lines: string[] = [];
    let most = 0;
    agent.on('message', (message) => {
      most = Math.max(most, message.length);
      lines.push(...message.toString().split('\n'));
    });
    configure({ metrics: { dogstatsd: { address: `127.0.0.1:${agent.address().port}` } } });
    await bench.json('metrics --push');
    while (!lines.some((line) => line.startsWith('backup_duration_seconds'))) await sleep(20);
    agent.close();
    assert.ok(lines.includes('lifeboat_repository_up:1|g'));
    assert.ok(lines.includes('lifeboat_backups:1|g|#target:main,component:files'));
    assert.ok(lines.every((line) => /^[a-z_]+:[0-9.e+-]+\|g(\|#[a-z]+:[^,|#\s]*(,[a-z]+:[^,|#\s]*)*)?$/.test(line)));
    assert.ok(most <= 1432);
    const refused = await bench.run('metrics --push');
    assert.equal(refused.exitCode, 20);
    assert.match(refused.stderr, /cannot send metrics to DogStatsD: .*ECONNREFUSED/);
  });

  test('by OTLP over HTTP; whatever a receiver does not take is told, and no secret with it', async () => {
    const bodies: unknown[] = [];
    const asked: (string | undefined)[] = [];
    let how = 'ok';
    const receiver = createServer((request, response) => void take(request, response)).listen(0, '127.0.0.1');
    const take = async (request: IncomingMessage, response: ServerResponse): Promise<unknown> => {
      asked.push(request.headers['api-key'] as string | undefined, request.headers.authorization);
      bodies.push(JSON.parse(await text(request)));
      if (how === 'error') return response.writeHead(500).end('not today');
      if (how === 'moved') return response.writeHead(302, { location: '/elsewhere' }).end();
      const partialSuccess = how === 'partly' ? { rejectedDataPoints: '3', errorMessage: 'too old' } : {};
      return response.writeHead(200).end(JSON.stringify({ partialSuccess }));
    };
    await once(receiver, 'listening');
    const address = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const url = `http://me:geheim@${address}/v1/metrics?token=sehrgeheim`;
    configure({ metrics: { otlp: { url, headers: { 'api-key': { env: 'OTLP_KEY' } } } } });
    const env = { OTLP_KEY: 'auchgeheim' };
    await bench.json('metrics --push', { env });
    assert.deepEqual(asked, ['auchgeheim', `Basic ${Buffer.from('me:geheim').toString('base64')}`]);
    const [document] = bodies as {
      resourceMetrics: { scopeMetrics: { metrics: { name: string; gauge: { dataPoints: object[] } }[] }[] }[];
    }[];
    const metrics = document?.resourceMetrics[0]?.scopeMetrics[0]?.metrics ?? [];
    const [point] = metrics.find(({ name }) => name === 'lifeboat_backups')?.gauge.dataPoints ?? [];
    assert.partialDeepStrictEqual(point, {
      attributes: [
        { key: 'target', value: { stringValue: 'main' } },
        { key: 'component', value: { stringValue: 'files' } },
      ],
      asDouble: 1,
    });
    const ways: [string, RegExp][] = [
      ['error', /answered with 500: not today/],
      ['moved', /redirect \(302\) that is not followed/],
      ['partly', /refused some of the metrics: 3 values, "too old"/],
    ];
    for (const [way, message] of ways) {
      how = way;
      const { exitCode, stderr } = await bench.run('metrics --push --debug', { env });
      assert.equal(exitCode, 20);
      assert.match(stderr, message);
      assert.ok(!stderr.includes('geheim'), stderr);
    }
    assert.equal(bodies.length, 4, 'no redirect was followed');
    receiver.close();
    receiver.closeAllConnections();
    const { stderr } = await bench.run('metrics --push', { env });
    assert.match(stderr, /cannot send metrics to the OTLP receiver: the connection was refused/);
    configure();
    assert.equal((await bench.run('metrics --push')).exitCode, 2);
    await bench.nothingLeft();
  });
});

test('after a command that changes something, well or not, and after none that only reads', async () => {
  const file = join(mkdtempSync(join(bench.folder, 'after-')), 'lifeboat.prom');
  configure({ metrics: { textfile: file, dogstatsd: { address: '127.0.0.1:9' } } });
  await bench.json('list');
  assert.deepEqual(readdirSync(join(file, '..')), []);
  const { stderr, exitCode } = await bench.run('backup files');
  assert.equal(exitCode, 0, 'a receiver that is away makes no good backup a bad one');
  assert.match(stderr, /warn.*cannot send metrics to DogStatsD/);
  const values = valuesIn(readFileSync(file, 'utf8'));
  assert.equal(values.get(`lifeboat_backups${files}`), 2);
  assert.equal(values.get('backup_duration_seconds{service="lifeboat",type="files"}') !== undefined, true);
  configure({ metrics: { textfile: file }, targets: { main: { files: { paths: [join(bench.folder, 'gone')] } } } });
  assert.notEqual((await bench.run('backup files')).exitCode, 0);
  assert.equal(valuesIn(readFileSync(file, 'utf8')).get('lifeboat_backup_failures{target="main"}'), 1);
  configure({ metrics: { textfile: join(bench.folder, 'wrong') } });
  assert.match((await bench.run('list')).stderr, /metrics\.textfile: must end in \.prom/);
});

test('status as a plugin of Nagios: its codes, one line, figures; what cannot be found out is UNKNOWN', async () => {
  configure();
  const check = async (line = ''): Promise<[number, string[]]> => {
    const { exitCode, stdout } = await bench.run(`status --format nagios ${line}`.trim());
    return [exitCode, stdout.trimEnd().split('\n')];
  };
  const [degraded, [first = '', ...others]] = await check();
  assert.equal(degraded, 1);
  assert.match(
    first,
    /^LIFEBOAT WARNING - [^|]+ \| 'age main files'=\d+s 'restore main'=\d+s 'stored'=\d+B 'free'=\d+B$/,
  );
  assert.match(others.at(-1) ?? '', /^next: lifeboat /);
  const [stale, [old = '']] = await check('--max-age 1s');
  assert.equal(stale, 2);
  assert.match(old, /^LIFEBOAT CRITICAL - /);
  renameSync(bench.repository, `${bench.repository}-away`);
  const [unknown, lines] = await check();
  renameSync(`${bench.repository}-away`, bench.repository);
  assert.equal(unknown, 3);
  assert.match(lines.join('\n'), /^LIFEBOAT UNKNOWN - there is no repository at [^\n|]*$/);
  assert.equal((await bench.run('status --format xml')).exitCode, 2);
});
