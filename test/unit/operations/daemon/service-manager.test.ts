/** What systemd is told: a real socket of its kind, and its own program in between. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LifeboatEvent } from '../../../../src/lib/events.ts';
import { serviceEnvironment, Systemd } from '../../../../src/operations/daemon/service-manager.ts';

/** Says "ready", then each datagram in a line, its lines with a bar between. */
const receiver = `
use IO::Socket::UNIX; use Socket; $| = 1;
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;
print "ready\\n";
while (defined $socket->recv(my $text, 65536)) { chomp $text; $text =~ s/\\n/|/g; print "$text\\n" }
`;

test('ready, reloading, status, watchdog and stopping reach it in order', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'notify-'));
  const socket = join(folder, 'notify');
  const perl = spawn('perl', ['-e', receiver, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  perl.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
  const until = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(text)) await new Promise((resolve) => perl.stdout.once('data', resolve));
  };
  try {
    await until(/^ready\n/);
    const events: LifeboatEvent[] = [];
    const manager = new Systemd({ socket, watchdogMs: 60_000 }, (event) => events.push(event));
    manager.ready('2 schedules; nothing running');
    manager.alive();
    manager.alive();
    manager.status('2 schedules; nightly running');
    manager.status('2 schedules; nightly running');
    manager.reloading();
    manager.ready('none; \u001b[31mred\nline');
    manager.stopping();
    await manager.flush();
    await until(/STOPPING=1/);
    const told = text.split('\n').filter((line) => line !== '' && line !== 'ready' && !line.startsWith('BARRIER'));
    assert.match(told.find((line) => line.startsWith('RELOADING=1')) ?? '', /^RELOADING=1\|MONOTONIC_USEC=\d+$/);
    assert.deepEqual(
      told.map((line) => line.replace(/USEC=\d+/, 'USEC=1')),
      [
        'READY=1|STATUS=2 schedules; nothing running',
        'WATCHDOG=1',
        'STATUS=2 schedules; nightly running',
        'RELOADING=1|MONOTONIC_USEC=1',
        'READY=1|STATUS=none; \\u001b[31mred\\u000aline',
        'STOPPING=1|STATUS=stopping',
      ],
    );
    assert.deepEqual(events, []);
  } finally {
    perl.kill();
    rmSync(folder, { recursive: true });
  }
});

test('where nobody listens that is said once, and nothing fails', async () => {
  const events: LifeboatEvent[] = [];
  const manager = new Systemd({ socket: '/nonexistent/notify', watchdogMs: undefined }, (event) => events.push(event));
  manager.ready('well');
  manager.alive();
  manager.stopping();
  await manager.flush();
  assert.equal(events.length, 1);
  assert.match(JSON.stringify(events), /systemd cannot be told/);
});

test('the watchdog of another process, and what is no number, is not ours', () => {
  const env = (more: Record<string, string>): unknown => serviceEnvironment({ NOTIFY_SOCKET: '/a', ...more });
  assert.deepEqual(env({ WATCHDOG_USEC: '30000000' }), { socket: '/a', watchdogMs: 30_000 });
  assert.deepEqual(env({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }), { socket: '/a', watchdogMs: undefined });
  assert.deepEqual(env({ WATCHDOG_USEC: '-1' }), { socket: '/a', watchdogMs: undefined });
  assert.deepEqual(serviceEnvironment({ NOTIFY_SOCKET: '' }), { socket: undefined, watchdogMs: undefined });
});
