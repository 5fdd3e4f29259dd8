/** Success is reported only when what was restored would outlive the server: waits for its AOF or its snapshot. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { pause } from '../../lib/pause.ts';
import { answerMs } from './protocol.ts';
import type { RedisConnection } from './connection.ts';
import { isRefusal } from './errors.ts';
import { listIn } from './replies.ts';
import type { InfoFields } from './server-info.ts';
import { hasCommands, readInfo } from './server-info.ts';
import type { TargetState } from './target.ts';

/**
 * aof, rdb: on disk. memory: the server is set up to keep nothing on disk. unknown: a managed server that does not let
 * us ask.
 */
export type Durability = 'aof' | 'rdb' | 'memory' | 'unknown';

/**
 * Waits until the data is on the server's disk as its settings have it. `rewritten`: the server began an
 * AOF rewrite of its own (a full synchronisation does). Throws (source) when its disk does not take it.
 */
export async function awaitDurable(
  connection: RedisConnection,
  state: TargetState,
  rewritten: boolean,
  context: RunContext,
): Promise<Durability> {
  try {
    if (state.aof) return await awaitAof(connection, rewritten, context);
    if (state.save === '') return 'memory';
    return await awaitSnapshot(connection, context);
  } catch (error) {
    if (error instanceof LifeboatError && isRefusal(error.cause ?? error)) return 'unknown';
    throw error;
  }
}

async function awaitAof(connection: RedisConnection, rewritten: boolean, context: RunContext): Promise<Durability> {
  if (!rewritten) {
    if (await hasCommands(connection, 'WAITAOF')) {
      const [local] = listIn(await connection.call('WAITAOF', 1, 0, answerMs / 2));
      if (local === 1) return 'aof';
    }
    // Before 7.2 only a rewrite tells that all of it has reached the disk.
    await startWhenFree(connection, 'BGREWRITEAOF', context);
  }
  const info = await pollPersistence(
    connection,
    context,
    (fields) => fields.get('aof_rewrite_in_progress') === '0' && fields.get('aof_rewrite_scheduled') === '0',
  );
  if (info.get('aof_last_bgrewrite_status') !== 'ok' || info.get('aof_last_write_status') !== 'ok') {
    throw notDurable('append-only file', connection);
  }
  return 'aof';
}

async function awaitSnapshot(connection: RedisConnection, context: RunContext): Promise<Durability> {
  await startWhenFree(connection, 'BGSAVE', context);
  const info = await pollPersistence(connection, context, (fields) => fields.get('rdb_bgsave_in_progress') === '0');
  if (info.get('rdb_last_bgsave_status') !== 'ok') throw notDurable('snapshot', connection);
  return 'rdb';
}

/** One that was under way already does not hold all of the restored data: waits for its end first. */
async function startWhenFree(
  connection: RedisConnection,
  command: 'BGSAVE' | 'BGREWRITEAOF',
  context: RunContext,
): Promise<void> {
  for (;;) {
    await pollPersistence(
      connection,
      context,
      (fields) => fields.get('rdb_bgsave_in_progress') === '0' && fields.get('aof_rewrite_in_progress') === '0',
    );
    try {
      await connection.call(command);
      return;
    } catch (error) {
      if (!/in progress|can't (BGSAVE|execute)/i.test(messageOf(error))) throw error;
      await pause(100, context.signal);
    }
  }
}

async function pollPersistence(
  connection: RedisConnection,
  context: RunContext,
  done: (fields: InfoFields) => boolean,
): Promise<InfoFields> {
  for (;;) {
    context.signal.throwIfAborted();
    const fields = await readInfo(connection, 'persistence');
    if (done(fields)) return fields;
    await sleep(100);
  }
}

function notDurable(what: string, connection: RedisConnection): LifeboatError {
  return new LifeboatError(
    'source',
    `the restored data is in the memory of Redis at ${connection.endpoint.text}, but its ${what} could not be written`,
    {
      state: 'the data is there, and would be lost if the server ended now',
      hint: 'look into the log of the Redis server (often a full disk), then run: redis-cli BGSAVE',
    },
  );
}
