/** Lines, units and CronJobs as they are printed: what their readers make of them, whatever paths are called. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig, type LoadedConfig } from '../../../../src/config/load.ts';
import { nextMoment, parseCron } from '../../../../src/lib/cron.ts';
import { printUnits, type UnitKind } from '../../../../src/operations/schedule/print.ts';
import type { SchedulePrintResult } from '../../../../src/operations/schedule/request.ts';

const folder = mkdtempSync(join(tmpdir(), 'print-'));
after(() => rmSync(folder, { recursive: true }));
const nightly = {
  id: 'nightly',
  cronExpression: '7 2 * * 5-7',
  timezone: 'Europe/Berlin',
  name: '50% off\n* * * * * x',
};

async function configured(file: string, schedules: readonly object[] = [nightly]): Promise<LoadedConfig> {
  const loaded = await loadConfig({ cwd: folder, env: {}, document: { schedules } });
  return { ...loaded, file };
}
async function printed(kind: UnitKind, loaded: LoadedConfig): Promise<SchedulePrintResult> {
  return printUnits(loaded, { kind, program: '/opt/lifeboat/bin/lifeboat', image: 'registry/lifeboat:1' });
}

const odd = `/etc/it's 100% "mine" & $HOME;#/a\u00e9.json`;

test('a line for cron is the same words to the shell, whether cron takes the backslash away or not', async () => {
  const [file] = (await printed('cron', await configured(odd))).files;
  const lines = (file?.text ?? '').split('\n').filter((each) => /^[\d*]/.test(each));
  assert.equal(lines.length, 1, 'no name begins a line of its own');
  const [, minutes, command = ''] = /^(\S+) \* \* \* \* (.*)$/.exec(lines[0] ?? '') ?? [];
  assert.equal(minutes, '7,22,37,52');
  assert.doesNotMatch(command, /(?<!\\)%/);
  for (const read of [command, command.replaceAll(String.raw`\%`, '%')]) {
    const words = execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${read}`])
      .toString()
      .split('\0');
    const expected = ['/opt/lifeboat/bin/lifeboat', 'schedule', 'run', 'nightly', '--slot', '--quiet', '--config', odd];
    assert.deepEqual(words, [...expected, '']);
  }
  for (const bad of ['/a\\b', '/a\nb']) {
    await assert.rejects(printed('cron', await configured(bad)), /has characters that it cannot/);
  }
});

test('one of the calls is exactly on time, in whatever zone', async () => {
  for (const timezone of ['UTC', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Europe/Berlin']) {
    const [file] = (await printed('cron', await configured('/c', [{ ...nightly, timezone }]))).files;
    const [, minutes = ''] = /^([\d,]+) /m.exec(file?.text ?? '') ?? [];
    const cron = parseCron(nightly.cronExpression);
    assert.ok(cron !== undefined);
    let atMs = Date.parse('2026-01-01T00:00:00Z');
    for (let round = 0; round < 170; round++) {
      atMs = nextMoment(cron, atMs, timezone) ?? 0;
      assert.ok(minutes.split(',').includes(String(new Date(atMs).getUTCMinutes())), new Date(atMs).toISOString());
    }
  }
});

test('systemd takes the units for good ones, and their words as they were meant', async () => {
  // What is started must be there.
  const loaded = await configured(odd);
  const options = { kind: 'systemd', program: '/bin/true', image: '' } as const;
  const { files } = await printUnits(loaded, options);
  assert.deepEqual(
    files.map(({ name }) => name),
    ['lifeboat-nightly.service', 'lifeboat-nightly.timer'],
  );
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
  const [service = { text: '' }, timer = { text: '' }] = files;
  assert.match(timer.text, /^OnCalendar=\*:07,22,37,52$/m);
  assert.match(service.text, /^Description=Lifeboat: 50%% off/m);
  const exec = /^ExecStart=.* --config "(.*)"$/m.exec(service.text)?.[1] ?? '';
  assert.equal(exec.replaceAll('%%', '%').replaceAll('$$', '$').replaceAll('\\"', '"'), odd);
  const paths = files.map(({ name }) => join(folder, name));
  const told = execFileSync('systemd-analyze', ['verify', '--man=no', ...paths], { stdio: 'pipe' });
  assert.equal(String(told), '');
  execFileSync('systemd-analyze', ['calendar', '*:07,22,37,52'], { stdio: 'pipe' });
  // Exposure, from 0 to 10: what a run as root that may read all files and hold drills has to have is left.
  const security = ['security', '--no-pager', '--offline=true', '--threshold=65', paths[0] ?? ''];
  execFileSync('systemd-analyze', security, { stdio: 'pipe' });
});

test('a CronJob says what Kubernetes needs', async () => {
  const [file] = (await printed('kubernetes', await configured('/c', [nightly, { ...nightly, id: 'second' }]))).files;
  const [first, second, ...others] = (file?.text ?? '').split('---\n').map(parseYaml);
  assert.deepEqual(others, []);
  const { spec, metadata } = first as { spec: Record<string, unknown>; metadata: { name: string } };
  const { jobTemplate, ...schedule } = spec as {
    jobTemplate: { spec: { template: { spec: Record<string, unknown> } } };
  };
  assert.deepEqual(
    [metadata.name, (second as { metadata: { name: string } }).metadata.name],
    ['lifeboat-nightly', 'lifeboat-second'],
  );
  assert.deepEqual(schedule, {
    schedule: '7 2,3 * * 0,5,6',
    timeZone: 'Europe/Berlin',
    concurrencyPolicy: 'Forbid',
    startingDeadlineSeconds: 3600,
    successfulJobsHistoryLimit: 1,
    failedJobsHistoryLimit: 3,
  });
  const { containers, securityContext } = jobTemplate.spec.template.spec;
  assert.deepEqual((securityContext as Record<string, unknown>)['runAsNonRoot'], true);
  const [{ image, command, securityContext: own, resources }] = containers as [Record<string, unknown>];
  assert.equal(image, 'registry/lifeboat:1');
  assert.deepEqual((command as string[]).slice(0, 5), ['lifeboat', 'schedule', 'run', 'nightly', '--slot']);
  assert.deepEqual(own, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  assert.deepEqual(resources, { requests: { cpu: '250m', memory: '512Mi' }, limits: { memory: '2Gi' } });
});

test('what cannot be called so is left out by name; without a file there is nothing to call', async () => {
  const schedules = [
    { ...nightly, enabled: false },
    { id: 'boot', cronExpression: '@reboot' },
    { id: 'A b', cronExpression: '@daily' },
  ];
  const { files, warnings } = await printed('cron', await configured('/c', schedules));
  assert.deepEqual([files, warnings.length], [[], 3]);
  const { file: _, ...loaded } = await configured('/c');
  await assert.rejects(printed('cron', { ...loaded, file: undefined }), /no configuration file was read/);
});

/** The block style that is printed: maps, lists, and JSON as scalars; anything else is no YAML of ours. */
function parseYaml(text: string): unknown {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const block = (indent: number): unknown => {
    const isList = lines[0]?.startsWith('- ', indent) === true;
    const items: unknown[] = [];
    const members: Record<string, unknown> = {};
    while (lines[0] !== undefined && /^ */.exec(lines[0])?.[0].length === indent) {
      const line = lines[0];
      if (line.startsWith('- ', indent) !== isList) throw new Error(`neither list nor map: ${line}`);
      if (isList) {
        const rest = line.slice(indent + 2);
        if (/^[\w"./-]+:( |$)/.test(rest)) {
          lines[0] = ' '.repeat(indent + 2) + rest;
          items.push(block(indent + 2));
        } else {
          lines.shift();
          items.push(JSON.parse(rest));
        }
        continue;
      }
      const [, key = '', value = ''] = /^ *([A-Za-z]+|"[^"]+"): ?(.*)$/.exec(line) ?? [];
      if (key === '') throw new Error(`no member: ${line}`);
      lines.shift();
      members[key.replaceAll('"', '')] =
        value === '' ? block(/^ */.exec(lines[0] ?? '')?.[0].length ?? 0) : JSON.parse(value);
    }
    return isList ? items : members;
  };
  const whole = block(0);
  if (lines.length > 0) throw new Error(`left over: ${lines[0]}`);
  return whole;
}
