/** What the daemon answers over HTTP, and to whom. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { get, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { DaemonFacts } from '../../../../src/operations/daemon/facts.ts';
import { listen, parseListenAddress, type ListenAddress } from '../../../../src/lib/loopback-server.ts';
import { daemonAnswers } from '../../../../src/operations/daemon/answers.ts';
import { daemonFamilies } from '../../../../src/operations/daemon/metrics.ts';
import { exposition } from '../../../../src/operations/metrics/exposition.ts';
import type { RepositoryFacts } from '../../../../src/operations/metrics/facts.ts';

const folder = mkdtempSync(join(tmpdir(), 'listen-'));
after(() => rmSync(folder, { recursive: true }));

const nowMs = Date.parse('2026-03-01T12:00:00Z');
const seen: RepositoryFacts = {
  verdict: 'degraded',
  reasons: { unhealthy: 0, degraded: 1, acknowledged: 0 },
  targets: [],
  wal: [],
  schedules: [
    {
      id: 'nightly',
      type: 'full',
      target: 'main',
      dueMs: nowMs - 60_000,
      nextMs: nowMs + 1000,
      successMs: nowMs - 3_600_000,
      failureMs: undefined,
      missedSinceMs: nowMs - 120_000,
      missed: 2,
    },
  ],
  storage: { storedBytes: 5 },
};
const well: DaemonFacts = {
  turnedMs: nowMs,
  turnedAgoMs: 10,
  configReadMs: nowMs - 5000,
  isConfigCurrent: true,
  isStopping: false,
  service: 'lifeboat',
  survey: { atMs: nowMs - 60_000, agoMs: 60_000, isUp: true, facts: seen },
  schedules: [{ id: 'nightly', type: 'full', nextMs: nowMs + 1000 }],
  jobs: [{ id: 'nightly', sinceMs: nowMs - 2000, movedBytes: 42, movedMs: nowMs - 1000 }],
  ended: new Map([['nightly', new Map([['done', 3]])]]),
};

const answer = async (address: ListenAddress, facts: () => DaemonFacts): Promise<AsyncDisposable> =>
  listen(
    address,
    daemonAnswers(facts, async () => []),
  );
const textOf = async (facts: DaemonFacts): Promise<string> => exposition(daemonFamilies(facts, nowMs));

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

async function ask(path: string, socketPath: string, method = 'GET', body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => (text += more));
      response.on('end', () => resolve({ status: response.statusCode, body: text }));
    });
    asked.on('error', reject).end(body);
  });
}

test('only addresses of this machine are taken, unless the operator wants it so', () => {
  assert.deepEqual(parseListenAddress('127.0.0.1:9187', false), { kind: 'tcp', host: '127.0.0.1', port: 9187 });
  assert.deepEqual(parseListenAddress('[::1]:0', false), { kind: 'tcp', host: '::1', port: 0 });
  assert.deepEqual(parseListenAddress('/run/a.sock', false), { kind: 'unix', path: '/run/a.sock' });
  assert.deepEqual(parseListenAddress('0.0.0.0:1', true), { kind: 'tcp', host: '0.0.0.0', port: 1 });
  for (const text of ['0.0.0.0:9187', '[::]:9187', '10.0.0.1:80', '[::ffff:10.0.0.1]:80']) {
    assert.throws(() => parseListenAddress(text, false), { code: 'usage', message: /whoever reaches it could ask/ });
  }
  for (const text of ['9187', '127.0.0.1', '127.0.0.1:99999', 'localhost:', '127.evil.example:80', '::1:80']) {
    assert.throws(() => parseListenAddress(text, true), { code: 'usage', message: /no address with a port/ }, text);
  }
});

test('health, readiness and metrics; what is wrong is said', async () => {
  let facts = well;
  const path = join(folder, 'one.sock');
  await using _ = await answer({ kind: 'unix', path }, () => facts);
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.deepEqual(await ask('/healthz', path), { status: 200, body: 'ok\n' });
  assert.deepEqual(await ask('/readyz?verbose', path), { status: 200, body: 'ok\n' });
  const names = (text: string): string[] => text.match(/^# TYPE .*$/gm) ?? [];
  assert.deepEqual(names((await ask('/metrics', path)).body), names(await textOf(well)));
  assert.equal((await ask('/__proto__', path)).status, 404);
  assert.deepEqual(await ask('/metrics', path, 'HEAD'), { status: 200, body: '' });
  assert.equal((await ask('/', path)).status, 404);
  assert.equal((await ask('/metrics', path, 'POST', 'x'.repeat(100_000))).status, 405);
  facts = { ...well, turnedAgoMs: 100_000, isStopping: true, isConfigCurrent: false };
  facts = { ...facts, survey: { ...well.survey, agoMs: 1_000_000 } };
  assert.deepEqual(await ask('/healthz', path), { status: 503, body: 'the loop has not turned for 100 s\n' });
  const { status, body } = await ask('/readyz', path);
  assert.equal(status, 503);
  for (const each of [/stopping/, /configuration .* is wrong/, /repository has not answered/]) assert.match(body, each);
});

test('a header that is too large, or never ends, is not waited for', async () => {
  const path = join(folder, 'two.sock');
  await using _ = await answer({ kind: 'unix', path }, () => well);
  const status = await new Promise((resolve, reject) => {
    const asked = get({ socketPath: path, path: '/', headers: { a: 'x'.repeat(20_000) } });
    asked.on('response', (response) => resolve(response.resume().statusCode)).on('error', reject);
  });
  assert.equal(status, 431);
  const slow = connect(path);
  slow.write('GET /healthz HTTP/1.1\r\nHost: a\r\n');
  let text = '';
  slow.setEncoding('utf8').on('data', (more: string) => (text += more));
  await new Promise((resolve) => slow.on('close', resolve));
  assert.match(text, /^HTTP\/1\.1 408 /);
});

test('a socket that a killed daemon has left is taken over; one that somebody has is not', async () => {
  const path = join(folder, 'three.sock');
  {
    await using _ = await answer({ kind: 'unix', path }, () => well);
    await assert.rejects(
      answer({ kind: 'unix', path }, () => well),
      { code: 'usage', message: /EADDRINUSE/ },
    );
  }
  assert.equal(existsSync(path), false, 'put away at its end');
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(`${path}.bound`, resolve));
  // Renamed, so that closing does not remove it.
  const { renameSync } = await import('node:fs');
  renameSync(`${path}.bound`, path);
  await new Promise((resolve) => dead.close(resolve));
  assert.ok(existsSync(path));
  await using _ = await answer({ kind: 'unix', path }, () => well);
  assert.equal((await ask('/healthz', path)).status, 200);
});

test('metrics: what was measured, and no last good value where the repository does not answer', async () => {
  const text = await textOf(well);
  const values = (of: string): Map<string, number> =>
    new Map(
      of
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
  const up = values(text);
  const of = '{schedule="nightly",type="full",target="main"}';
  assert.equal(up.get('lifeboat_repository_up'), 1);
  assert.equal(up.get(`lifeboat_schedule_last_success_timestamp_seconds${of}`), nowMs / 1000 - 3600);
  assert.equal(up.get(`lifeboat_schedule_missed_slots${of}`), 2);
  assert.equal(up.get(`lifeboat_schedule_overdue_seconds${of}`), 120);
  assert.equal(up.get(`lifeboat_schedule_next_due_timestamp_seconds${of}`), nowMs / 1000 + 1);
  assert.equal(up.get('lifeboat_attempts_total{schedule="nightly",outcome="done"}'), 3);
  assert.equal(up.get('lifeboat_job_moved_bytes{schedule="nightly"}'), 42);
  assert.ok(!text.includes('last_failure'), 'none has failed');
  for (const survey of [
    { ...well.survey, isUp: false },
    { ...well.survey, agoMs: 3_600_000 },
    { atMs: undefined, agoMs: undefined, isUp: false, facts: undefined },
  ]) {
    const down = values(await textOf({ ...well, survey }));
    assert.equal(down.get('lifeboat_repository_up'), 0);
    assert.deepEqual(
      [...down.keys()].filter((key) => /schedule_(missed|last)|status|stored/.test(key)),
      [],
    );
    assert.equal(down.get('lifeboat_repository_answer_timestamp_seconds'), survey.atMs && survey.atMs / 1000);
  }
  const odd = { ...well, jobs: [], schedules: [{ id: 'a"b\\c\nd', type: 'full', nextMs: 0 }] };
  assert.match(await textOf(odd), /\{schedule="a\\"b\\\\c\\nd",type="full"\} 0\n/);
});
