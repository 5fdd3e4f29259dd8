/**
 * A snapshot by replication into a local file: `redis-cli --rdb` acts as a replica that stops after the
 * first full synchronisation. To a file and not straight to the repository, since the server cuts a
 * replica that stalls; redis-cli outlives a kill -9 of this process, so it is written down.
 */
import { open, stat } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { startTool, ToolError } from '../../lib/exec.ts';
import { rememberProcess } from '../../lib/leftovers.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisCliArguments, redisCliEnvironment } from './endpoint.ts';
import { redisError } from './errors.ts';

/** The server does not let us replicate: rights, or a managed server without SYNC. A scan may still do. */
export class ReplicationRefusedError extends LifeboatError {
  override readonly name = 'ReplicationRefusedError';
}

/**
 * Writes a snapshot to `path` (must not exist; 0600). `onBytes` hears of its growth. Throws LifeboatError: source,
 * space, tool.
 */
export async function spoolSnapshot(
  endpoint: RedisEndpoint,
  path: string,
  context: RunContext,
  onBytes: (bytes: number) => void = () => {},
): Promise<void> {
  // Made beforehand: redis-cli would make it readable for all.
  await (await open(path, 'wx', 0o600)).close();
  const tool = await startTool({
    file: 'redis-cli',
    args: [...redisCliArguments(endpoint), '--rdb', path],
    env: redisCliEnvironment(endpoint),
    signal: context.signal,
  });
  using _ = rememberProcess(tool.pid);
  const watch = setInterval(
    () =>
      void stat(path).then(
        (file) => onBytes(file.size),
        () => {},
      ),
    1000,
  );
  try {
    await tool.result;
  } catch (error) {
    throw error instanceof ToolError ? classified(error, endpoint) : error;
  } finally {
    clearInterval(watch);
  }
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
