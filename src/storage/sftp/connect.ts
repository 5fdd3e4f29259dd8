/**
 * The way to an SFTP server: the system's own ssh, so that ssh_config, agents, jump hosts and known_hosts work as they
 * do for whoever types `ssh`. It asks nobody anything, and believes only a host key that is known.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SftpLocation } from '../../config/config.ts';
import { messageOf, LifeboatError } from '../../lib/errors.ts';
import { type RunningTool, startTool, ToolError } from '../../lib/exec.ts';
import { printable } from '../../lib/printable.ts';
import { Channel, SessionLostError } from './channel.ts';
import { Session } from './session.ts';
import { StorageError } from '../storage.ts';

export interface Connection {
  readonly session: Session;
  /** False once it is lost. */
  readonly isAlive: boolean;
  /** Ends ssh, and waits until it is gone. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly idleTimeoutMs: number;
}

/** ssh ends by itself when its input does; one that does not is ended. */
const patienceMs = 2000;

/** Throws StorageError, retryable where a later try may work, or LifeboatError `tool` (16) where there is no ssh. */
export async function connect(location: SftpLocation, options: ConnectOptions): Promise<Connection> {
  const ssh = await startSsh(location, options);
  const state = { isAlive: true };
  const channel = new Channel(
    ssh.stdin as NonNullable<RunningTool['stdin']>,
    ssh.stdout as NonNullable<RunningTool['stdout']>,
    {
      idleTimeoutMs: options.idleTimeoutMs,
      onLost: () => {
        state.isAlive = false;
        void endSsh(ssh);
      },
    },
  );
  const close = async (): Promise<void> => {
    channel.lose('it is closed');
    await endSsh(ssh);
  };
  try {
    return {
      session: await Session.begin(channel),
      get isAlive() {
        return state.isAlive;
      },
      close,
    };
  } catch (error) {
    await close();
    throw connectError(location, await whyEnded(ssh), error);
  }
}

async function startSsh(location: SftpLocation, { idleTimeoutMs }: ConnectOptions): Promise<RunningTool> {
  return startTool({
    file: 'ssh',
    args: sshArguments(location, Math.max(1, Math.round(idleTimeoutMs / 1000))),
    stdin: 'pipe',
    stdout: 'pipe',
    // Ctrl-C is for us: what is still to be done then (giving leases back) needs the connection.
    detached: true,
    inherits: ['SSH_AUTH_SOCK'],
  });
}

/** As typed, but for what would ask somebody, forward something, or believe a host that nobody has vouched for. */
function sshArguments({ host, port, user, configFile }: SftpLocation, timeoutSeconds: number): string[] {
  const settings = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    'PermitLocalCommand=no',
    'ClearAllForwardings=yes',
    'ForwardAgent=no',
    'ForwardX11=no',
    'RequestTTY=no',
    // One of our own: a shared one would end with whoever opened it.
    'ControlMaster=no',
    'ControlPath=none',
    'Compression=no',
    `ConnectTimeout=${timeoutSeconds}`,
    `ServerAliveInterval=${timeoutSeconds}`,
    'ServerAliveCountMax=2',
  ];
  return [
    ...(configFile === undefined ? [] : ['-F', configFile]),
    ...settings.flatMap((each) => ['-o', each]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    '-s',
    '--',
    host,
    'sftp',
  ];
}

async function endSsh(ssh: RunningTool): Promise<void> {
  const isGone = ssh.result.then(
    () => true,
    () => true,
  );
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (await Promise.race([isGone, sleep(patienceMs, false, { ref: false })])) return;
    ssh.killGroup(signal);
  }
  await isGone;
}

/** What ssh said last; undefined where it ended in silence. */
async function whyEnded(ssh: RunningTool): Promise<string | undefined> {
  try {
    const { stderr } = await ssh.result;
    return lastLine(stderr);
  } catch (error) {
    return error instanceof ToolError ? lastLine(error.stderr) : messageOf(error);
  }
}

function lastLine(stderr: string): string | undefined {
  const line = stderr.trim().split('\n').at(-1)?.trim();
  return line === undefined || line === '' ? undefined : printable(line.slice(0, 500));
}

interface Reason {
  readonly said: RegExp;
  readonly hint: string;
}

/** In the words of OpenSSH, which are never translated. What is not here may pass. */
const lasting: readonly Reason[] = [
  {
    said: /host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|no .* host key is known/i,
    hint:
      'compare the key that the host shows (ssh-keyscan) with one from a source that you trust, then add it to ' +
      'known_hosts',
  },
  {
    said: /permission denied|too many authentication failures/i,
    hint:
      'nobody is asked for a password: give this user a key without a passphrase or an agent (SSH_AUTH_SOCK), and ' +
      'the server its public half',
  },
  { said: /subsystem request failed/i, hint: 'the server offers no SFTP: see Subsystem in its sshd_config' },
  { said: /bad (configuration|owner or permissions)|can't open user config/i, hint: 'correct that file' },
  { said: /this account is currently not available|only allows? sftp/i, hint: 'give that user the subsystem sftp' },
];

function connectError({ host }: SftpLocation, said: string | undefined, error: unknown): LifeboatError {
  if (error instanceof LifeboatError) return error;
  const reason = said ?? messageOf(error);
  const known = lasting.find((each) => each.said.test(reason));
  return new StorageError(`cannot reach the SFTP server ${host}: ${reason}`, {
    hint: known?.hint ?? 'try by hand: ssh -v, with the same user and host',
    retryable: known === undefined && error instanceof SessionLostError,
    cause: error,
  });
}
