/**
 * A real SFTP server for tests: OpenSSH's sshd with its internal SFTP server, on a free port of 127.0.0.1, for the user
 * that runs the tests. Everything, the keys among it, lies below one temporary folder that stop() removes.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SftpLocation } from '../../../src/config/config.ts';
import { freePort } from './redis.ts';

export interface SftpServerOptions {
  /** Extensions that it shall not have: "hardlink", "fsync", "statvfs", "posix-rename", "limits". */
  readonly without?: readonly string[];
}

export interface TestSftpServer {
  readonly port: number;
  /** Where its files are; a repository may be anywhere. */
  readonly folder: string;
  /** For `ssh -F`: knows the host, and has the key of the user. */
  readonly configFile: string;
  readonly pid: number;
  /** A new, empty place, as a configuration would say it; `port`: that of a proxy. */
  location(change?: Partial<SftpLocation>): SftpLocation;
  /** For BACKUP_REPOSITORY. */
  url(location: SftpLocation): string;
  /** Ends every connection, and listens on. */
  dropConnections(): void;
  /** SIGKILL of all of it; start() brings it back. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startSftpServer({ without = [] }: SftpServerOptions = {}): Promise<TestSftpServer> {
  const folder = mkdtempSync(join(tmpdir(), 'lifeboat-sftp-'));
  chmodSync(folder, 0o755);
  const port = await freePort();
  const user = userInfo().username;
  const configFile = prepare(folder, port, user, without);
  const daemon: { process?: ChildProcess } = {};
  let places = 0;
  const server: TestSftpServer = {
    port,
    folder: join(folder, 'files'),
    configFile,
    get pid() {
      return daemon.process?.pid ?? 0;
    },
    location: (change = {}) => ({
      kind: 'sftp',
      host: '127.0.0.1',
      port,
      user,
      path: join(folder, 'files', String(places++), 'repo'),
      configFile,
      ...change,
    }),
    url: ({ host, port: at, path }) => `sftp://${user}@${host}:${at}${path}`,
    dropConnections: () => {
      for (const pid of childrenOf(server.pid)) end(pid);
    },
    kill: async () => {
      const child = daemon.process;
      if (child === undefined) return;
      server.dropConnections();
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
      delete daemon.process;
    },
    start: async () => {
      daemon.process = await startDaemon(folder, port);
    },
    stop: async () => {
      await server.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

function prepare(folder: string, port: number, user: string, without: readonly string[]): string {
  mkdirSync(join(folder, 'files'));
  for (const key of ['host', 'client']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, key)]);
  }
  // What Debian's service makes before it starts.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const denied = without.length === 0 ? '' : ` -P ${without.join(',')}`;
  const hostKey = readFileSync(join(folder, 'host.pub'), 'utf8').trim();
  const files: Record<string, string> = {
    sshd_config: [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${join(folder, 'host')}`,
      'PidFile none',
      `AuthorizedKeysFile ${join(folder, 'client.pub')}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'MaxStartups 100',
      `Subsystem sftp internal-sftp${denied}`,
      `ForceCommand internal-sftp${denied}`,
      'LogLevel ERROR',
    ].join('\n'),
    known_hosts: `lifeboat-test ${hostKey}`,
    // One host key, whatever the port: also behind a proxy.
    ssh_config: [
      'Host *',
      `  IdentityFile ${join(folder, 'client')}`,
      '  IdentitiesOnly yes',
      '  IdentityAgent none',
      `  UserKnownHostsFile ${join(folder, 'known_hosts')}`,
      '  GlobalKnownHostsFile none',
      '  HostKeyAlias lifeboat-test',
      `  User ${user}`,
    ].join('\n'),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 });
  return join(folder, 'ssh_config');
}

async function startDaemon(folder: string, port: number): Promise<ChildProcess> {
  // sshd wants to be started by an absolute path, and is in no user's PATH.
  const args = ['-D', '-f', join(folder, 'sshd_config'), '-E', join(folder, 'sshd.log')];
  const child = spawn('/usr/sbin/sshd', args, { stdio: 'ignore' });
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) break;
    if (await answers(port)) return child;
    await sleep(25);
  }
  child.kill('SIGKILL');
  throw new Error(`sshd did not start: ${readFileSync(join(folder, 'sshd.log'), 'utf8')}`);
}

async function answers(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    return await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

function childrenOf(pid: number): number[] {
  if (pid === 0) return [];
  const tasks = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const children = tasks.split(' ').filter(Boolean).map(Number);
  return children.flatMap((child) => [...childrenOf(child), child]);
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
