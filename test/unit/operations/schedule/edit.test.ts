/** Schedules changed from the command line: what the file is afterwards, to the character, and what is refused. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../../../src/config/load.ts';
import { parseJsonc } from '../../../../src/config/jsonc.ts';
import { editSchedules } from '../../../../src/operations/schedule/edit.ts';
import type { ScheduleEditResult } from '../../../../src/operations/schedule/request.ts';
import { documents } from '../../../../src/ui/json/documents.ts';
import { makeBench, type Bench } from '../../../helpers/cli/command-run.ts';
import { runCli, type CliResult } from '../../../helpers/cli/run-cli.ts';

let bench: Bench;
let file: string;
before(() => {
  bench = makeBench();
  bench.env = { ...bench.env, BACKUP_FILES: bench.folder };
  file = join(bench.folder, 'lifeboat.config.json');
});
after(() => bench?.[Symbol.asyncDispose]());

const text = `{
    // the alarm goes to the one on duty
    "notifications": { "webhook": "https://alarm.example/s3cret" },
    "schedules": [
        // by night
        { "id": "nightly", "cronExpression": "15 2 * * *", "timezone": "Europe/Berlin" }, // quiet then
    ],
    "jobs": 3, /* as many as cores */
}
`;
const write = (content: string): void => writeFileSync(file, content, { mode: 0o600 });
const read = (): string => readFileSync(file, 'utf8');
const run = async (line: readonly string[], more: Record<string, string> = {}): Promise<CliResult> =>
  runCli(['schedule', ...line], { env: { ...bench.env, ...more }, cwd: bench.folder });
const edit = async (line: readonly string[], exitCode = 0): Promise<ScheduleEditResult> => {
  const result = await run([...line, '--json']);
  assert.equal(result.exitCode, exitCode, result.stdout + result.stderr);
  return documents['schedule-edit'].parse(JSON.parse(result.stdout)) as ScheduleEditResult;
};

test('each change touches its place only, and says when the schedule runs next', async () => {
  write(text);
  const added = await edit(['add', 'look', '--type=validate', '--cron=0 6 * * *', '--option=quick', '--option=jobs=2']);
  const line =
    '{ "id": "look", "type": "validate", "cronExpression": "0 6 * * *", "options": { "quick": true, "jobs": 2 } }';
  let expected = text.replace('quiet then\n', `quiet then\n        ${line},\n`);
  assert.equal(read(), expected);
  assert.equal(added.schedule?.next.length, 3);

  await edit([
    'update',
    'nightly',
    '--cron=30 2 * * *',
    '--unset=timezone',
    '--target=main',
    '--option=tag=a',
    '--option=tag=b',
  ]);
  expected = expected.replace(
    '"15 2 * * *", "timezone": "Europe/Berlin" }',
    '"30 2 * * *", "options": { "tag": ["a", "b"], "target": "main" } }',
  );
  assert.equal(read(), expected);
  await edit(['update', 'look', '--unset=jobs', '--missed=skip', '--grace-minutes=5', '--name=a look']);
  expected = expected.replace(', "jobs": 2 } }', ' }, "name": "a look", "missed": "skip", "graceMinutes": 5 }');
  assert.equal(read(), expected);

  await edit(['disable', 'look']);
  assert.equal(read(), expected.replace('"graceMinutes": 5', '"graceMinutes": 5, "enabled": false'));
  assert.equal((await edit(['enable', 'look'])).schedule?.next.length, 3);
  assert.deepEqual((await edit(['enable', 'nightly'])).diff, [], 'it was on');
  await edit(['remove', 'look']);
  await edit(['remove', 'nightly']);
  assert.equal(read(), text.replace(/ {8}\{ "id".*\n/, ''));
});

test('plain JSON stays plain JSON, and a file without schedules gets them', async () => {
  write('{"jobs":3}\n');
  await edit(['add', 'nightly', '--cron', '@daily']);
  assert.equal(read(), '{"jobs":3,"schedules":[{"id":"nightly","cronExpression":"@daily"}]}\n');
  write(`${JSON.stringify({ jobs: 3, envFile: 'env' }, undefined, '\t')}\r\n`.replaceAll(/\r?\n/g, '\r\n'));
  writeFileSync(join(bench.folder, 'env'), '');
  const quiet = await run(['add', 'nightly', '--cron', '@daily', '-q']);
  assert.deepEqual([quiet.exitCode, quiet.stdout, quiet.stderr], [0, '', '']);
  const whole = { jobs: 3, envFile: 'env', schedules: [{ id: 'nightly', cronExpression: '@daily' }] };
  assert.equal(read(), `${JSON.stringify(whole, undefined, '\t')}\r\n`.replaceAll(/\r?\n/g, '\r\n'));
});

test('a rehearsal shows what would be changed, and no secret beside it', async () => {
  for (const content of [text, JSON.stringify(parseJsonc(text))]) {
    write(content);
    const { stdout, stderr } = await run(['disable', 'nightly', '--dry-run']);
    assert.match(stdout, /^\+.*"enabled": ?false/m);
    assert.doesNotMatch(stdout + stderr, /s3cret/);
    assert.equal(read(), content);
  }
});

test('owner, group and mode stay, and so does a link to the file', async () => {
  mkdirSync(join(bench.folder, 'etc'));
  const real = join(bench.folder, 'etc/real.json');
  writeFileSync(real, text);
  chmodSync(real, 0o640);
  if (process.getuid?.() === 0) chownSync(real, 0, 4242);
  const before = statSync(real);
  const link = join(bench.folder, 'etc/link.json');
  symlinkSync('real.json', link);
  await edit(['disable', 'nightly', '--config', link]);
  const now = statSync(real);
  assert.deepEqual([now.uid, now.gid, now.mode], [before.uid, before.gid, before.mode]);
  assert.notEqual(now.ino, before.ino, 'replaced as a whole');
  assert.match(readFileSync(real, 'utf8'), /"enabled": false/);
  assert.deepEqual(readdirSync(join(bench.folder, 'etc')).toSorted(), ['link.json', 'real.json']);
});

test('what would not do changes nothing', async () => {
  write(text);
  const misspelt = await run(['add', 'a', '--cron=@daily', '--option=labl=x']);
  assert.equal(misspelt.exitCode, 2);
  assert.match(misspelt.stderr, /labl is not an option of type full.*\nstate: nothing was changed/);
  const { stdout } = await run(['add', 'a', '--cron=@daily', '--timeout-seconds=99999999', '--json']);
  assert.match(stdout, /"exitCode":2.*timeoutSeconds must be at most.*"state":"nothing was changed"/);
  const warned = await edit(['update', 'nightly', '--target=other', '--dry-run'], 3);
  assert.match(warned.warnings.join(), /as it is, nightly cannot run: there is no target other/);
  assert.equal(read(), text);
});

test('those of the environment, and those of no file, are not to be changed here', async () => {
  write(text);
  const env = { BACKUP_SCHEDULES: JSON.stringify([{ id: 'a', cronExpression: '@daily' }]) };
  assert.match((await run(['disable', 'a'], env)).stderr, /they come from BACKUP_SCHEDULES, not from a file/);
  writeFileSync(join(bench.folder, 'env'), `BACKUP_SCHEDULES='${env.BACKUP_SCHEDULES}'\n`);
  const fromFile = await run(['disable', 'a', '--env-file', join(bench.folder, 'env')]);
  assert.match(fromFile.stderr, /come from BACKUP_SCHEDULES in .*env, not/);
  assert.equal(read(), text);
  // Not by the command: it would look for one upward, and whatever it found there is none of ours.
  const loaded = await loadConfig({ cwd: bench.folder, env: {}, document: {} });
  const change = { act: 'add', id: 'a', members: { cronExpression: '@daily' } } as const;
  const surroundings = { dryRun: true, reload: async () => loaded };
  await assert.rejects(editSchedules(loaded, change, surroundings), /there is no configuration file/);
});
