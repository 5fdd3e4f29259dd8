/** A repository on an SFTP server, as an operator has it: whole commands, a bad line, and what is there afterwards. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { randomFrom } from '../helpers/concurrency/random.ts';
import { startSftpServer, type TestSftpServer } from '../helpers/servers/sftp.ts';
import { startTcpProxy, type TcpProxy } from '../helpers/servers/tcp-proxy.ts';
import { compareTrees, readTree } from '../helpers/source/file-tree.ts';

let server: TestSftpServer;
let proxy: TcpProxy;
let bench: Bench;
let source: string;

before(async () => {
  server = await startSftpServer();
  proxy = await startTcpProxy(server.port);
  bench = makeBench();
  source = join(bench.folder, 'source');
  mkdirSync(join(source, 'below'), { recursive: true });
  for (let n = 0; n < 40; n++) writeFileSync(join(source, 'below', `file ${n}`), randomBytes(n * 3000));
  symlinkSync('below/file 1', join(source, 'link'));
  bench.env = {
    ...bench.env,
    BACKUP_FILES: source,
    BACKUP_REPOSITORY: server.url(server.location({ path: bench.repository, port: proxy.port })),
    BACKUP_SSH_CONFIG: server.configFile,
  };
});
after(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.stop();
  await bench?.[Symbol.asyncDispose]();
});

const restored = async (id: string): Promise<void> => {
  const to = join(bench.folder, `restored-${id}`);
  await bench.restore(['restore', id, '--to-dir', to]);
  assert.deepEqual(compareTrees(readTree(source), readTree(join(to, source)), { mtimeToleranceNs: 1000n }), []);
};

test('init, backup, validate, integrity, status, list, restore', async () => {
  await bench.json('init');
  const { id } = await bench.backup();
  const second = await bench.backup();
  assert.deepEqual(await bench.ids(), [id, second.id]);
  await bench.json('validate --all --deep');
  await bench.json(`integrity --drill ${id}`);
  const { exitCode, stdout } = await bench.run('status');
  assert.equal(exitCode, 0, stdout);
  await restored(id);
  const checks = await bench.run('doctor');
  assert.match(checks.stdout, /repository writing/);
  assert.match(checks.stdout, /repository server.*(second names|in one step)/s);
  await bench.nothingLeft();
});

test('connections that end at random moments: each backup is whole, restores, and leaves nothing', async () => {
  const random = randomFrom(5);
  for (let round = 0; round < 2; round++) {
    writeFileSync(join(source, `more ${round}`), randomBytes(400_000));
    proxy.cutAfter(() => 5000 + Math.floor(random() ** 2 * 4_000_000));
    const { id } = await bench.backup('backup');
    proxy.cutAfter(undefined);
    await restored(id);
  }
  assert.ok(proxy.accepted > 8, `${proxy.accepted} connections`);
  const retention = { files: { keepLast: 1, minBackups: 1 } };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ retention }));
  await bench.json('cleanup --max-delete 10');
  // The newest, and the one that was drilled.
  assert.equal((await bench.ids()).length, 2);
  await bench.nothingLeft();
});

test('Ctrl-C gives the lease back; a wrong host key stops everything before it begins', async () => {
  writeFileSync(join(source, 'large'), randomBytes(30_000_000));
  const running = await bench.start('backup');
  await running.said(/backup .* of files to sftp:/);
  running.kill('SIGINT');
  assert.equal((await running.result).exitCode, 130);
  await bench.nothingLeft();
  const other = await startSftpServer();
  try {
    assertFailed(
      await bench.run('backup', { env: { BACKUP_REPOSITORY: server.url(server.location({ port: other.port })) } }),
      20,
      /Host key verification failed|REMOTE HOST IDENTIFICATION/,
      /known_hosts/,
    );
  } finally {
    await other.stop();
  }
});

test('a password in the URL is refused, and shown nowhere', async () => {
  for (const url of [
    'sftp://me:geheim@host/repo',
    'sftp://host',
    'sftp://host:99999/repo',
    'sftp://-oProxyCommand=x/repo',
  ]) {
    const { exitCode, stdout, stderr } = await bench.run('list', { env: { BACKUP_REPOSITORY: url } });
    assert.equal(exitCode, 2, stderr);
    assert.doesNotMatch(stdout + stderr, /geheim/);
  }
});
