/**
 * Restores of Redis: into an empty server, into a live one (saved first), chosen keys, or a stopped server's folder.
 */
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import { stateFolderHint, tellingFileErrors } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { withRedis } from '../../source/redis/connection.ts';
import { awaitDurable } from '../../source/redis/durable.ts';
import { parseRedisUrl, type RedisAddress, type RedisEndpoint } from '../../source/redis/endpoint.ts';
import { redisFacts, type RedisFacts } from '../../source/redis/facts.ts';
import { placeRedisSnapshot } from '../../source/redis/place.ts';
import { restoreRedis, type RedisRestoreRequest } from '../../source/redis/restore.ts';
import { recoverTarget } from '../../source/redis/target-note.ts';
import { inspectTarget } from '../../source/redis/target.ts';
import { factsOf } from '../backup-facts.ts';
import type { RestoredComponent } from './request.ts';
import { hasCopied } from './marks.ts';
import { nowhere, redisNotesDir, sizeOf, stampOf, type RestoreStep, type RestoreSubject } from './step.ts';
import { counted } from '../../lib/units.ts';

/** The ways of the source by what they are called here; `file` is placed, not restored. */
const methods = { auto: 'auto', file: 'auto', commands: 'pipeline', replica: 'replica' } as const;

export async function planRedis(subject: RestoreSubject, context: RunContext): Promise<RestoreStep[]> {
  const { request, component } = subject;
  const facts = factsOf(redisFacts, subject.facts, component, subject.manifest.id);
  if (request.redis.method === 'file' || request.redis.dataDir !== undefined) return [placeStep(subject, facts)];
  const address = addressOf(subject);
  const endpoint = parseRedisUrl(address);
  if (!request.dryRun) await recoverTarget(redisNotesDir(subject.config.stateDir), endpoint, context);
  const { keys, copied } = await withRedis(endpoint, context.signal, async (connection) => ({
    keys: (await inspectTarget(connection)).keys,
    copied: await hasCopied(request.marks, connection),
  }));
  if (copied) return [finishStep(subject, facts, endpoint)];
  const chosen = request.redis.keys.length > 0;
  if (keys > 0 && !request.redis.intoLive && !chosen) {
    throw new LifeboatError('confirmation', `Redis at ${endpoint.text} holds ${keys} keys`, {
      state: 'nothing was changed',
      hint: 'replace them with --into-live, restore chosen keys with --keys, or name an empty server with --to-url-env',
    });
  }
  const what = chosen
    ? `keys like ${request.redis.keys.join(', ')} at ${endpoint.text} are replaced`
    : `all ${keys} keys at ${endpoint.text} are replaced`;
  const saveBy = request.redis.toUrl === undefined ? 'redis' : undefined;
  return [
    {
      component: component.name,
      to: endpoint.text,
      action: chosen ? 'restore chosen keys' : 'restore all keys and compare',
      bytes: sizeOf(component),
      replaces: keys === 0 ? undefined : { name: endpoint.text, consequences: [what], saveBy },
      run: (inner) => restoreKeys(subject, facts, address, endpoint.text, inner),
    },
  ];
}

function finishStep(subject: RestoreSubject, facts: RedisFacts, endpoint: RedisEndpoint): RestoreStep {
  return {
    component: subject.component.name,
    to: endpoint.text,
    action: 'finish what an earlier attempt has copied',
    bytes: 0,
    replaces: undefined,
    run: (context) => finishCopy(subject, facts, endpoint, context),
  };
}

function addressOf({ request, target }: RestoreSubject): RedisAddress {
  if (request.redis.toUrl !== undefined) {
    return {
      url: request.redis.toUrl,
      caFile: target?.redis?.caFile,
      certFile: target?.redis?.certFile,
      keyFile: target?.redis?.keyFile,
    };
  }
  if (target?.redis === undefined) throw nowhere('Redis', 'REDIS_URL');
  return target.redis;
}

function placeStep(subject: RestoreSubject, facts: RedisFacts): RestoreStep {
  const { request, component, reader } = subject;
  const dir = request.redis.dataDir;
  if (dir === undefined) {
    throw new LifeboatError('usage', 'the folder of the stopped server is not named', {
      hint: 'name it with --rdb-dir',
      state: 'nothing was changed',
    });
  }
  return {
    component: component.name,
    to: dir,
    action: "place into a stopped server's folder",
    bytes: sizeOf(component),
    replaces: undefined,
    run: async (context) => {
      const started = performance.now();
      const report = await placeRedisSnapshot(
        { reader, facts, dir, appendonly: facts.config?.['appendonly'] === 'yes' },
        context,
      );
      return {
        name: component.name,
        kind: component.kind,
        to: report.placed,
        bytes: facts.bytes,
        durationMs: performance.now() - started,
        verified: 'equal',
        summary: `${counted(report.keys, 'key')}, loaded at the server's next start`,
        kept: report.keptBefore,
      };
    },
  };
}

async function restoreKeys(
  subject: RestoreSubject,
  facts: RedisFacts,
  target: RedisAddress,
  to: string,
  context: RunContext,
): Promise<RestoredComponent> {
  const { request, component, reader } = subject;
  const started = performance.now();
  const patterns = request.redis.keys.length === 0 ? [undefined] : request.redis.keys;
  let restored = 0;
  let expired = 0;
  let kept: string | undefined;
  for (const [n, keys] of patterns.entries()) {
    const safetySnapshot = n === 0 ? await safetyFile(subject) : undefined;
    const wanted = { reader, facts, target, keys, safetySnapshot, replace: true };
    const report = await restoreRedis({ ...wanted, ...waysOf(subject) }, context);
    if (report.methodReason !== undefined) {
      const message = `restored by commands, key by key: ${report.methodReason}`;
      context.emit({ type: 'step', component: component.name, message });
    }
    restored += report.restoredKeys;
    expired += report.expiredKeys;
    kept ??= report.safetySnapshot;
  }
  const lapsed = expired === 0 ? '' : `, ${expired.toLocaleString('en-US')} had expired`;
  const summary = `${counted(restored, 'key')}${lapsed}`;
  return {
    name: component.name,
    kind: component.kind,
    to,
    bytes: facts.bytes,
    durationMs: performance.now() - started,
    verified: patterns[0] === undefined ? 'equal' : 'partial',
    summary,
    kept,
  };
}

type Ways = Pick<RedisRestoreRequest, 'method' | 'replicaAddress' | 'scratchDir' | 'notesDir' | 'onSource'>;

/** How keys are restored, and where what is needed for it lies. */
function waysOf(subject: RestoreSubject): Ways {
  const { redis, marks } = subject.request;
  const onSource = async (replicationId: string): Promise<void> => marks?.note({ kind: 'redis', replicationId });
  return {
    method: methods[redis.method],
    replicaAddress: redis.replicaAddress,
    scratchDir: tmpdir(),
    notesDir: redisNotesDir(subject.config.stateDir),
    onSource,
  };
}

/** All keys had come before the interruption; whether they are on the server's disk is asked for anew. */
async function finishCopy(
  { component: { name, kind } }: RestoreSubject,
  facts: RedisFacts,
  endpoint: RedisEndpoint,
  context: RunContext,
): Promise<RestoredComponent> {
  const started = performance.now();
  const keys = await withRedis(endpoint, context.signal, async (connection) => {
    const state = await inspectTarget(connection);
    await awaitDurable(connection, state, false, context);
    return state.keys;
  });
  return {
    name,
    kind,
    to: endpoint.text,
    bytes: 0,
    durationMs: performance.now() - started,
    verified: 'partial',
    summary: `${counted(keys, 'key')} of ${facts.keys.toLocaleString('en-US')}, copied before the interruption`,
  };
}

/**
 * Where a server that is not the target's own is saved before it is overwritten; the target's own is saved by a backup.
 */
async function safetyFile({ config, request, at }: RestoreSubject): Promise<string | undefined> {
  if (!request.safetyBackup || request.redis.toUrl === undefined) return undefined;
  const folder = join(config.stateDir, 'safety');
  await tellingFileErrors(`cannot make the folder ${folder}`, { hint: stateFolderHint }, async () =>
    mkdir(folder, { recursive: true, mode: 0o700 }),
  );
  return join(folder, `redis-before-${stampOf(at)}.rdb`);
}
