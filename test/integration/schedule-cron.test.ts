/**
 * Lines of `schedule print --cron` in the hands of Debian's cron daemon: silent when all is well, mail when it is not.
 * The daemon runs in namespaces of its own, with no crontab but the test's, and a stand-in for sendmail.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ShownSchedule } from '../../src/operations/schedule/request.ts';
import { makeBench, testKey, type Bench } from '../helpers/cli/command-run.ts';

let bench: Bench;
let cron: ChildProcess | undefined;
let mails: string;
const fromFile = { BACKUP_REPOSITORY: undefined, BACKUP_ENCRYPTION_KEY: undefined, BACKUP_STATE_DIR: undefined };

before(() => {
  bench = makeBench();
  mails = join(bench.folder, 'mails');
  for (const each of ['mails', 'files', 'good 100% of it', 'bad']) mkdirSync(join(bench.folder, each));
  writeFileSync(join(bench.folder, 'files/one'), 'content');
});
after(async () => {
  if (cron !== undefined && cron.exitCode === null) {
    cron.kill('SIGKILL');
    await once(cron, 'exit');
  }
  await bench?.[Symbol.asyncDispose]();
});

function configure(name: string, repository: string): string {
  const file = join(bench.folder, name, 'lifeboat.config.json');
  const document = {
    repository: `file://${repository}`,
    encryption: { key: testKey },
    stateDir: join(bench.folder, name, 'state'),
    targets: { main: { files: { paths: [join(bench.folder, 'files')] } } },
    schedules: [{ id: 'each-minute', type: 'files', cronExpression: '* * * * *', timezone: 'Asia/Kathmandu' }],
  };
  writeFileSync(file, JSON.stringify(document), { mode: 0o600 });
  return file;
}

/** What stands at the places that cron looks at is seen by this daemon only. */
function startCron(crontab: string): ChildProcess {
  const sendmail = join(bench.folder, 'sendmail');
  // A mail has its name once it is whole.
  const stand = `#!/bin/sh\nnew=$(mktemp '${bench.folder}/mail.XXXXXX') && cat >"$new" && mv "$new" '${mails}'\n`;
  writeFileSync(sendmail, stand, { mode: 0o755 });
  const script = `set -e
    cp /usr/sbin/cron "$3/cron"
    for each in /etc/cron.d /var/spool /run /usr/sbin; do mount -t tmpfs none "$each"; done
    mount --bind /dev/null /etc/crontab
    mkdir -p /var/spool/cron/crontabs
    cp "$1" /var/spool/cron/crontabs/root
    chmod 600 /var/spool/cron/crontabs/root
    cp "$2" /usr/sbin/sendmail
    exec "$3/cron" -f`;
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child'];
  return spawn('unshare', [...namespaces, 'sh', '-c', script, 'sh', crontab, sendmail, bench.folder], {
    stdio: 'inherit',
  });
}

/** What a process has started and not yet seen the end of. */
function childrenOf(pid: number | string): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
}

test('cron runs what is printed: nothing is heard of a good run, and mail comes of a failure', async () => {
  const good = configure('good 100% of it', bench.repository);
  const bad = configure('bad', join(bench.folder, 'nowhere'));
  const init = await bench.run(['init', '--config', good], { env: fromFile });
  assert.equal(init.exitCode, 0, init.stderr);
  const lines = [`HOME=${join(bench.folder, 'home')}\n`, `TMPDIR=${bench.tmp}\n`];
  for (const file of [good, bad]) {
    const printed = await bench.run(['schedule', 'print', '--cron', '--config', file], { env: fromFile });
    assert.equal(printed.exitCode, 0, printed.stderr);
    lines.push(printed.stdout);
  }
  const crontab = join(bench.folder, 'crontab');
  writeFileSync(crontab, lines.join(''));
  cron = startCron(crontab);
  const isDone = async (): Promise<boolean> => {
    const show = ['schedule', 'show', 'each-minute', '--config', good];
    const { slots = [] } = await bench.json<ShownSchedule>(show, { env: fromFile });
    return slots.some(({ outcome }) => outcome === 'done');
  };
  while (readdirSync(mails).length === 0 || !(await isDone())) {
    assert.equal(cron.exitCode, null, 'cron has ended');
    await sleep(1000);
  }
  // The child of cron that runs a line sends what it printed before it ends.
  const [daemon = ''] = childrenOf(cron.pid ?? 0);
  while (childrenOf(daemon).length > 0) await sleep(100);
  for (const name of readdirSync(mails)) {
    const mail = readFileSync(join(mails, name), 'utf8');
    assert.match(mail, /^To: root$/m);
    assert.match(mail, /lifeboat: .*nowhere/);
    assert.doesNotMatch(mail.split('\n\n').slice(1).join('\n\n'), /good 100/);
  }
});
