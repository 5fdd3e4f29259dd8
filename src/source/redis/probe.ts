/**
 * What a Redis server is before a backup: version, identity, size, and what would stand in the way. Changes nothing.
 */
import type { RunContext } from '../../lib/events.ts';
import type { Problem, SourceInfo } from '../source.ts';
import type { RedisConnection } from './connection.ts';
import { withRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { modeRefusal } from './errors.ts';
import type { InfoFields } from './server-info.ts';
import { hasCommands, numberIn, readInfo, versionFrom } from './server-info.ts';

/** Throws LifeboatError (source) when the server cannot be reached. */
export function probeRedis(
  endpoint: RedisEndpoint,
  method: 'auto' | 'replication' | 'scan',
  context: RunContext,
): Promise<SourceInfo> {
  return withRedis(endpoint, context.signal, async (connection) => {
    const info = await readInfo(connection, 'server', 'replication', 'memory', 'cluster', 'persistence');
    return {
      serverVersion: versionFrom(info).version,
      identity: {
        server: endpoint.text,
        role: info.get('role') ?? 'unknown',
        runId: info.get('run_id') ?? 'unknown',
        replicationId: info.get('master_replid') ?? 'unknown',
        make: versionFrom(info).text,
      },
      estimatedBytes: numberIn(info, 'used_memory_dataset'),
      problems: [
        ...stateProblems(info, endpoint),
        ...(method === 'scan' ? [] : await replicationProblems(connection, endpoint, method)),
      ],
    };
  });
}

function stateProblems(info: InfoFields, endpoint: RedisEndpoint): Problem[] {
  const problems: Problem[] = [];
  const refusal = modeRefusal(info, endpoint);
  if (refusal !== undefined) problems.push({ message: refusal.message, hint: refusal.hint ?? '', fatal: true });
  if (info.get('loading') === '1') {
    problems.push({
      message: 'the Redis server is still loading its data',
      hint: 'wait until redis-cli info persistence shows loading:0',
      fatal: true,
    });
  }
  if (info.get('role') === 'slave' && info.get('master_link_status') !== 'up') {
    problems.push({
      message: 'the Redis server is a replica that has lost its primary: its data may be old',
      hint: 'repair the replica, or back up the primary',
      fatal: false,
    });
  }
  if (info.get('rdb_last_bgsave_status') === 'err') {
    problems.push({
      message: "the Redis server's own last snapshot on disk failed",
      hint: 'look into its log; it is often a full disk',
      fatal: false,
    });
  }
  return problems;
}

/**
 * Can it be replicated from? ACL DRYRUN (7.0 on) tells without doing it; where even that is not allowed, only the dump
 * will tell.
 */
async function replicationProblems(
  connection: RedisConnection,
  endpoint: RedisEndpoint,
  method: 'auto' | 'replication',
): Promise<Problem[]> {
  const fatal = method === 'replication';
  const then = fatal
    ? 'set redis.method to "auto" or "scan"'
    : 'the backup will read key by key, which is not of one moment';
  if (!(await hasCommands(connection, 'SYNC')) && (await hasCommands(connection, 'PING'))) {
    return [{ message: `Redis at ${endpoint.text} has no SYNC (as managed servers)`, hint: then, fatal }];
  }
  try {
    const user = String(await connection.call('ACL', 'WHOAMI'));
    const answer = String(await connection.call('ACL', 'DRYRUN', user, 'SYNC'));
    if (answer === 'OK') return [];
    return [
      {
        message: `the Redis user ${user} may not replicate`,
        hint: `ACL SETUSER ${user} +sync +psync +replconf +ping +info; without it: ${then}`,
        fatal,
      },
    ];
  } catch {
    return [];
  }
}
