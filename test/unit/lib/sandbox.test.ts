/** What a sandbox is asked for: exactly what a program is given, and nothing of ours beside it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freeUser, namedUser, processesOf, systemUsers } from '../../../src/lib/free-user.ts';
import { sandboxed, type SandboxReach } from '../../../src/lib/sandbox.ts';

const reach: SandboxReach = { writable: ['/srv/t/data'], readable: ['/srv/t/conf'], passwdFile: '/srv/t/passwd' };
const spec = { file: '/opt/pg/bin/postgres', args: ['-D', '/srv/t/data'], cwd: '/srv/t', uid: 1, gid: 1 };

/** Pairs that follow an option, e.g. what is bound where. */
function given(args: readonly string[], option: string): string[] {
  return args.flatMap((each, n) => (each === option ? [args[n + 2] ?? ''] : []));
}

test('only what is given can be written to, and no folder of a user can be read', () => {
  const { file, args, cwd, uid, name } = sandboxed(spec, reach, { owner: undefined, canDisableNesting: true });
  assert.deepEqual([file, cwd, uid, name], ['bwrap', undefined, undefined, 'postgres']);
  assert.deepEqual(given(args, '--bind'), ['/srv/t/data']);
  const seen = [...given(args, '--ro-bind'), ...given(args, '--ro-bind-try')];
  assert.ok(seen.includes('/srv/t/conf') && seen.includes('/usr') && seen.includes('/etc/passwd'));
  for (const path of ['/', '/etc', '/home', '/root', '/var', '/var/lib', '/run', '/tmp', '/srv', '/srv/t']) {
    assert.ok(!seen.includes(path), path);
  }
  for (const each of ['pid', 'ipc', 'uts', 'net', 'user']) assert.ok(args.includes(`--unshare-${each}`), each);
  assert.ok(args.includes('--die-with-parent') && args.includes('--disable-userns'));
  assert.deepEqual(args.slice(-3), ['/opt/pg/bin/postgres', '-D', '/srv/t/data']);
});

test("root's program gets another uid, and keeps no right by which it could become root again", () => {
  const { args } = sandboxed(spec, reach, { owner: { uid: 7, gid: 8 }, canDisableNesting: true });
  // Uid 0 of a user namespace would be root to /proc/sys.
  assert.ok(!args.includes('--unshare-user'));
  const command = args.slice(args.indexOf('--') + 1).join(' ');
  assert.match(
    command,
    /^setpriv --reuid 7 --regid 8 --clear-groups .*--bounding-set=-all --no-new-privs -- \/opt\/pg/,
  );
});

test('a free uid is nobody', () => {
  const { uid, gid } = freeUser();
  assert.ok(uid >= 30_000 && gid === uid);
  assert.ok(!systemUsers().some((user) => user.uid === uid));
  assert.deepEqual(processesOf(uid), []);
});

test('a user that others use is refused', () => {
  for (const name of ['root', 'nobody', 'postgres', 'no-such-user']) {
    assert.throws(() => namedUser(name), { code: 'tool', message: new RegExp(`cannot run as user ${name}: `) });
  }
});
