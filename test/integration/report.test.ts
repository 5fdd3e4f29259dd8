/** A report over a year of records, held against a count made otherwise; hostile words in it; each format. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { withRepository } from '../../src/operations/open-repository.ts';
import type { ReportResult } from '../../src/operations/report/request.ts';
import { appendAudit } from '../../src/repository/audit.ts';
import { writeEvidence } from '../../src/repository/backups/evidence.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { writeSlot, type SlotOutcome } from '../../src/repository/slots/records.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { inForceSince } from '../helpers/cli/daemon.ts';
import { randomFrom } from '../helpers/concurrency/random.ts';

const dayMs = 86_400_000;
const hostile = '<img src=x onerror=alert(1)>=1+1 \u202e"\u0007 žluťoučký';
let bench: Bench;
/** Moments of the two schedules, each with how its last attempt ended. */
const moments: { readonly id: string; readonly ms: number; readonly outcome: SlotOutcome; readonly covers: number }[] =
  [];
let attempts = 0;

before(async () => {
  bench = makeBench();
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'a'), 'content');
  bench.env = { ...bench.env, BACKUP_FILES: files };
  const emergency = { scenarios: { all: { title: hostile, rtoMinutes: 1, rpoMinutes: 60 } } };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ emergency }));
  await bench.json('init');
  await bench.backup();
  const { id } = await bench.backup();
  await bench.json(`integrity --drill ${id}`);
  await withOpened(async (repository) => {
    await writeYear(repository);
    await writeProofs(repository, id);
    await writeActs(repository);
  });
});
after(async () => bench?.[Symbol.asyncDispose]());

async function withOpened(work: (repository: Repository) => Promise<unknown>): Promise<void> {
  const need = { repository: true, encryption: true, targets: 'all' } as const;
  const loaded = await loadConfig({ cwd: bench.folder, env: bench.env, need });
  await withRepository(loaded, { signal: new AbortController().signal, emit: () => {} }, work);
}

/** Two schedules, a year long: most well, some tried again, some failed, skipped, or standing for others. */
async function writeYear(repository: Repository): Promise<void> {
  const random = randomFrom(365);
  for (const [id, target] of [
    ['nightly', 'main'],
    ['checks', undefined],
  ] as const) {
    for (let day = 1; day <= 366; day++) {
      const ms = Math.floor(Date.now() / dayMs) * dayMs - day * dayMs + 2 * 3_600_000;
      const draw = random();
      const outcome = draw < 0.9 ? 'done' : draw < 0.94 ? 'failed' : draw < 0.97 ? 'hung' : 'skipped';
      const covers = draw < 0.02 ? 3 : 0;
      const tries: SlotOutcome[] = draw > 0.5 && draw < 0.6 ? ['failed', outcome] : [outcome];
      for (const [n, each] of tries.entries()) {
        const at = new Date(ms + n * 60_000).toISOString();
        await writeSlot(
          repository,
          { target, id },
          {
            due: new Date(ms).toISOString(),
            attempt: n + 1,
            outcome: each,
            startedAt: at,
            finishedAt: at,
            exitCode: each === 'done' ? 0 : 13,
            covers,
          },
        );
      }
      moments.push({ id, ms, outcome, covers });
      attempts += outcome === 'skipped' ? 0 : ms >= Date.now() - 300 * dayMs ? tries.length : 0;
    }
  }
}

async function writeProofs(repository: Repository, id: string): Promise<void> {
  for await (const { manifest, seal } of repository.listManifests({ idPrefix: id })) {
    for (const [days, result, durationMs] of [
      [200, 'ok', 9000],
      [100, 'failed', 99_000],
      [400, 'ok', 500_000],
    ] as const) {
      const finishedMs = Date.now() - days * dayMs;
      const startedMs = finishedMs - durationMs;
      const draft = {
        level: 'deep',
        result,
        startedMs,
        finishedMs,
        compared: [],
        counts: {},
        bytes: 1,
        steps: [],
      } as const;
      await writeEvidence(repository, { id, manifest, seal }, draft);
    }
  }
}

async function writeActs(repository: Repository): Promise<void> {
  for (const [command, days] of [
    ['restore', 10],
    ['restore', 500],
    ['export', 20],
    ['backup', 30],
  ] as const) {
    const finishedMs = Date.now() - days * dayMs;
    const ids = ['20260101T000000Z-main-full-00000000'];
    const draft = {
      command,
      target: 'main',
      ids,
      outcome: 'failed',
      exitCode: 13,
      startedMs: finishedMs,
      finishedMs,
    } as const;
    await appendAudit(repository, { ...draft, details: { arguments: { hostile } } }, () => {});
  }
}

test('figures of 300 days are those of a count made otherwise', async () => {
  const report = await bench.json<ReportResult>('report --days 300');
  documents.report.parse(report);
  const since = Date.now() - 300 * dayMs;
  const within = moments.filter(({ ms }) => ms >= since);
  for (const id of ['nightly', 'checks']) {
    const of = within.filter((each) => each.id === id);
    const count = (outcome: SlotOutcome): number => of.filter((each) => each.outcome === outcome).length;
    const found = report.schedules.find((each) => each.id === id);
    assert.ok(found !== undefined);
    assert.deepEqual(
      [found.done, found.failed, found.hung, found.skipped, found.aborted, found.missed],
      [count('done'), count('failed'), count('hung'), count('skipped'), 0, 0],
    );
    assert.ok(of.length >= 299);
    const covers = of.reduce((sum, each) => sum + each.covers, 0);
    assert.equal(found.caughtUp, covers);
  }
  assert.equal(
    report.schedules.reduce((sum, each) => sum + each.attempts, 0),
    attempts,
  );
  const [main] = report.targets;
  assert.deepEqual([main?.backups, main?.failedRuns], [2, 1]);
  const deep = main?.proofs.find(({ level }) => level === 'deep');
  assert.deepEqual([deep?.ok, deep?.failed, deep?.longestMs], [1, 1, 9000]);
  assert.equal(main?.proofs.find(({ level }) => level === 'drill')?.ok, 1);
  assert.equal(main?.restoreTime?.basis, 'measured');
  assert.deepEqual(
    report.acts.map(({ command, outcome }) => [command, outcome]),
    [
      ['restore', 'failed'],
      ['export', 'failed'],
    ],
  );
  assert.equal(report.keys.length, 1);
  assert.deepEqual(report.auditFindings, []);
  const longer = await bench.json<ReportResult>('report --days 600');
  assert.equal(longer.acts.length, 3);
  assert.equal(longer.targets[0]?.proofs.find(({ level }) => level === 'deep')?.longestMs, 500_000);
});

test('a schedule that is dead is missed at every moment, however many, and not before it was there', async () => {
  const file = join(bench.folder, 'lifeboat.config.json');
  const before = readFileSync(file);
  const schedules = [{ id: 'dead', type: 'files', cronExpression: '0 * * * *', timezone: 'UTC' }];
  writeFileSync(file, JSON.stringify({ schedules }));
  await inForceSince(bench, 'dead', 200);
  const found = (await bench.json<ReportResult>('report --days 30')).schedules.find(({ id }) => id === 'dead');
  assert.ok(found !== undefined && found.missed >= 197 && found.missed <= 200, `${found?.missed}`);
  const shorter = (await bench.json<ReportResult>('report --days 3')).schedules.find(({ id }) => id === 'dead');
  assert.ok(shorter !== undefined && shorter.missed >= 70 && shorter.missed <= 72, `${shorter?.missed}`);
  writeFileSync(file, before);
});

test('HTML is whole, loads nothing, runs nothing, and shows foreign words as words', async () => {
  const file = join(bench.folder, 'report.html');
  const { exitCode, stdout, stderr } = await bench.run([
    'report',
    '--days',
    '300',
    '--format',
    'html',
    '--output',
    file,
  ]);
  assert.equal(exitCode, 0, stderr);
  assert.equal(stdout, `wrote ${file}\n`);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const html = readFileSync(file, 'utf8');
  assert.doesNotMatch(html, /<(script|img|link|iframe|object)|https?:| on\w+=(?!alert)/);
  assert.ok(!html.includes('\u202e') && !html.includes('\u0007'));
  assert.match(html, /&#60;img src=x onerror=alert\(1\)&#62;/);
  // Each element that begins ends, in order.
  const open: string[] = [];
  for (const [, slash, name = ''] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:\s[^>]*)?>/g)) {
    if (name === 'meta') continue;
    if (slash === '/') assert.equal(open.pop(), name);
    else open.push(name);
  }
  assert.deepEqual(open, []);
  const tables = html.match(/<table>/g) ?? [];
  assert.equal((html.match(/<caption>/g) ?? []).length, tables.length);
  assert.ok(tables.length >= 6);
});

test('CSV has no formula and no broken line; text has no control character', async () => {
  const csv = (await bench.run('report --days 300 --format csv')).stdout;
  for (const line of csv.split('\r\n').filter(Boolean)) {
    for (const cell of line.match(/("([^"]|"")*"|[^,]*)(,|$)/g) ?? []) assert.doesNotMatch(cell, /^"?[=+@-]/, line);
  }
  assert.match(csv, /^"What was to run, and ran",nightly,main,/m);
  const text = (await bench.run('report --days 300')).stdout;
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202e]/);
  assert.match(text, /TIME TO RESTORE/);
});

test('PDF is read by another program, has the same figures, and pages with numbers', async () => {
  const file = join(bench.folder, 'report.pdf');
  assertFailed(await bench.run('report --format pdf'), 2, /a PDF is written to a file/);
  await bench.json(['report', '--days', '300', '--format', 'pdf', '--output', file]);
  const text = execFileSync('pdftotext', ['-layout', file, '-'], { encoding: 'utf8' });
  const report = await bench.json<ReportResult>('report --days 300');
  const nightly = report.schedules.find(({ id }) => id === 'nightly');
  assert.match(text, new RegExp(`nightly +main .* ${nightly?.done} `));
  assert.match(text, /1 of \d/);
  assert.match(text, /<img src=x onerror=alert\(1\)>=1\+1/);
  assert.match(execFileSync('pdfinfo', [file], { encoding: 'utf8' }), /Title: +Report on backups/);
});

test('a bundle holds the report too; a file that cannot be written is an error, and leaves nothing', async () => {
  const file = join(bench.folder, 'evidence.zip');
  const { written } = await bench.json<ReportResult>(['report', '--days', '300', '--bundle', file]);
  assert.deepEqual(written, [file]);
  const names = execFileSync('unzip', ['-Z1', file], { encoding: 'utf8' }).split('\n');
  for (const name of ['README.txt', 'verify.mjs', 'report.json', 'report.html', 'SHA256SUMS']) {
    assert.ok(names.includes(name), name);
  }
  const nowhere = join(bench.folder, 'files/a/report.html');
  assertFailed(await bench.run(['report', '--format', 'html', '--output', nowhere]), 2, /cannot write/, /folder/);
  assert.deepEqual(readdirSync(join(bench.folder, 'files')), ['a']);
});

test('a schedule writes it', async () => {
  const output = join(bench.folder, 'monthly.html');
  const options = { days: 31, format: 'html', output };
  const schedules = [{ id: 'monthly', type: 'report', cronExpression: '0 6 1 * *', options }];
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ schedules }));
  await bench.json('schedule run monthly');
  assert.match(readFileSync(output, 'utf8'), /Report on backups/);
  const relative = [{ ...schedules[0], options: { output: 'monthly.html' } }];
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ schedules: relative }));
  const { exitCode, stderr } = await bench.run('schedule list');
  assert.equal(exitCode, 2, stderr);
  assert.match(stderr, /output: must be an absolute path/);
});
