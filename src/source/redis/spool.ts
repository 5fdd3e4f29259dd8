/**
 * A snapshot by replication into a local file: `redis-cli --rdb` acts as a replica that stops after the
 * first full synchronisation. To a file and not straight to the repository, since the server cuts a
 * replica that stalls; redis-cli outlives a kill -9 of this process, so it is written down.
 */
import { createFileAt } from '../../lib/held-files.ts';
import { stat } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { startTool, ToolError } from '../../lib/exec.ts';
import { rememberProcess } from '../../lib/leftovers.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisCliArguments, redisCliEnvironment } from './endpoint.ts';
import { redisError } from './errors.ts';
import type { SnapshotLimit } from './snapshot-limit.ts';

/** The server does not let us replicate: rights, or a managed server without SYNC. A scan may still do. */
export class ReplicationRefusedError extends LifeboatError {
  override readonly name = 'ReplicationRefusedError';
}

export interface SpoolPlace {
  /** The file to make (0600); must not exist. */
  readonly path: string;
  readonly limit: SnapshotLimit;
  /** So long without bytes is a server that hangs; default: 10 minutes. */
  readonly hangTimeoutMs?: number | undefined;
}

/** What redis-cli may take: it collects whatever a server answers it, and needs some MiB. */
const memoryBytes = 512 * 1024 * 1024;
/** Less in all of the time is none: line ends keep a replica waiting, for ever if need be. */
const movedBytes = 64 * 1024;

/** Writes a snapshot. `onBytes` hears of its growth. Throws LifeboatError: source, space, tool. */
export async function spoolSnapshot(
  endpoint: RedisEndpoint,
  { path, limit, hangTimeoutMs = 600_000 }: SpoolPlace,
  context: RunContext,
  onBytes: (bytes: number) => void = () => {},
): Promise<void> {
  // Made beforehand: redis-cli would make it readable for all.
  await (await createFileAt(path)).close();
  const hung = new AbortController();
  const tool = await startTool({
    file: 'redis-cli',
    args: [...redisCliArguments(endpoint), '--rdb', path],
    env: redisCliEnvironment(endpoint),
    signal: AbortSignal.any([context.signal, hung.signal]),
    limits: { memoryBytes, fileBytes: limit.bytes },
  });
  using _ = rememberProcess(tool.pid);
  let [movedAt, movedSize] = [performance.now(), 0];
  const look = async (): Promise<void> => {
    const { size } = await stat(path);
    onBytes(size);
    if (size >= movedSize + movedBytes) [movedAt, movedSize] = [performance.now(), size];
    else if (performance.now() - movedAt > hangTimeoutMs) hung.abort(silent(endpoint, hangTimeoutMs));
  };
  const watch = setInterval(() => void look().catch(() => {}), Math.min(1000, hangTimeoutMs / 2));
  try {
    await tool.result;
  } catch (error) {
    if (error instanceof ToolError && error.toolSignal === 'SIGXFSZ') throw limit.exceeded();
    throw error instanceof ToolError ? classified(error, endpoint) : error;
  } finally {
    clearInterval(watch);
  }
}

function silent({ text }: RedisEndpoint, hangTimeoutMs: number): LifeboatError {
  const seconds = Math.round(hangTimeoutMs / 1000);
  return new LifeboatError(
    'source',
    `hung: Redis at ${text} has sent next to nothing of its snapshot for ${seconds} s`,
    { retryable: true, hint: 'look into the log of the Redis server; hangTimeoutSeconds sets the limit' },
  );
}

function classified(error: ToolError, endpoint: RedisEndpoint): LifeboatError {
  // redis-cli says "short write" where a disk fills up in the middle of a piece.
  if (/No space left|Disk quota|Error writing data to file: short write/i.test(error.stderr)) {
    return new LifeboatError('space', 'no space left in the scratch folder for the Redis snapshot', {
      hint: 'free some space there, or name another folder by TMPDIR',
      cause: error,
    });
  }
  // Refused REPLCONFs are mentioned too, but harmless: what SYNC got decides.
  const reply = (
    /^(?:SYNC with master|AUTH) failed: *-?(.*)$/im.exec(error.stderr)?.[1] ??
    error.stderr.replaceAll(/^.*REPLCONF.*$/gim, '')
  ).trim();
  if (/NOPERM|unknown command|not allowed|not supported|can't SYNC/i.test(reply)) {
    return new ReplicationRefusedError(
      'source',
      `Redis at ${endpoint.text} does not allow a snapshot over replication: ${reply}`,
      {
        hint: 'give the user the rights +sync +psync +replconf +ping +info, or set redis.method to "scan"',
        cause: error,
      },
    );
  }
  if (/NOAUTH|WRONGPASS|LOADING|MASTERDOWN|refused|certificate|SSL/i.test(reply)) {
    return redisError(new Error(reply), 'cannot connect', endpoint);
  }
  return new LifeboatError('source', `the snapshot of Redis at ${endpoint.text} failed: ${error.message}`, {
    hint: 'look into the log of the Redis server',
    retryable: true,
    cause: error,
  });
}
