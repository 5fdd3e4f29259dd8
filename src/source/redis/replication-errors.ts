/** Why a server gives no snapshot over replication, in an operator's words; whether reading key by key may still do. */
import { LifeboatError } from '../../lib/errors.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisError } from './errors.ts';

/** The server does not let us replicate: rights, or a managed server without SYNC. A scan may still do. */
export class ReplicationRefusedError extends LifeboatError {
  override readonly name = 'ReplicationRefusedError';
}

/** It has cut the connection where the snapshot should have begun: who asks in another way may still get one. */
export class CutOffError extends ReplicationRefusedError {}

/** What a server has answered to SYNC (without the sign of an error), or undefined if it is nothing that is known. */
export function refusedSync(reply: string, endpoint: RedisEndpoint, cause: unknown): LifeboatError | undefined {
  if (/NOPERM|unknown command|not allowed|not supported|can't SYNC/i.test(reply)) {
    return new ReplicationRefusedError(
      'source',
      `Redis at ${endpoint.text} does not allow a snapshot over replication: ${reply}`,
      { hint: 'give the user the rights +sync +psync +replconf +ping +info, or set redis.method to "scan"', cause },
    );
  }
  if (/NOAUTH|WRONGPASS|LOADING|MASTERDOWN|refused|certificate|SSL/i.test(reply)) {
    return redisError(new Error(reply), 'cannot connect', endpoint);
  }
  return undefined;
}

/** For a server that has done so; its log may say why. */
export function cutOff({ text }: RedisEndpoint, cause: unknown): CutOffError {
  return new CutOffError('source', `Redis at ${text} ended the connection instead of sending a snapshot`, {
    hint: 'look into the log of the Redis server',
    retryable: true,
    cause,
  });
}

/** The snapshot has begun, and did not come to its end. */
export function failedSnapshot({ text }: RedisEndpoint, why: string, cause: unknown): LifeboatError {
  return new LifeboatError('source', `the snapshot of Redis at ${text} failed: ${why}`, {
    hint: 'look into the log of the Redis server',
    retryable: true,
    cause,
  });
}

/** It has sent next to nothing for longer than `hangTimeoutMs`. */
export function hungSnapshot({ text }: RedisEndpoint, hangTimeoutMs: number): LifeboatError {
  const seconds = Math.round(hangTimeoutMs / 1000);
  return new LifeboatError(
    'source',
    `hung: Redis at ${text} has sent next to nothing of its snapshot for ${seconds} s`,
    { retryable: true, hint: 'look into the log of the Redis server; hangTimeoutSeconds sets the limit' },
  );
}

/** The scratch folder is full. */
export function noRoomForSnapshot(cause: unknown): LifeboatError {
  return new LifeboatError('space', 'no space left in the scratch folder for the Redis snapshot', {
    hint: 'free some space there, or name another folder by TMPDIR',
    cause,
  });
}
