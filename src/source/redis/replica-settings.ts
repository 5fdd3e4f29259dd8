/**
 * What a restore by replication changes on the target: noted before it is changed, and put back in every case.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { connectRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import type { ReplicaPlan } from './replica-plan.ts';
import type { ScratchServer } from './scratch-server.ts';
import { readConfig } from './server-info.ts';
import { writeTargetNote, type TargetNote } from './target-note.ts';

/** Whose settings are changed, and where that is noted. */
export interface ReplicaSettingsRequest {
  readonly plan: ReplicaPlan;
  readonly endpoint: RedisEndpoint;
  /**
   * Where it is noted what is changed on the target, for the next run should this one be killed; undefined: nowhere.
   */
  readonly notesDir: string | undefined;
}

/** Sets what replication from the scratch server needs; gives what was there before, by the setting's name. */
export async function changeSettings(
  { endpoint, plan, notesDir }: ReplicaSettingsRequest,
  scratch: ScratchServer,
  context: RunContext,
): Promise<Map<string, string>> {
  await using target = await connectRedis(endpoint, context.signal);
  const wanted: readonly (readonly [TargetNote['settings'][number]['name'], string])[] = [
    ['masteruser', ''],
    ['masterauth', scratch.password.reveal()],
    ['tls-replication', 'no'],
    ['replica-read-only', 'yes'],
  ];
  const changes: TargetNote['settings'] = [];
  for (const [name, during] of wanted) {
    const old = await readConfig(target, name);
    if (old !== undefined && old !== during) changes.push({ name, before: old, during });
  }
  if (notesDir !== undefined) {
    await writeTargetNote(notesDir, {
      endpoint: endpoint.text,
      master: { host: plan.address, port: String(scratch.port) },
      settings: changes,
    });
  }
  const before = new Map<string, string>();
  try {
    for (const change of changes) {
      await target.call('CONFIG', 'SET', change.name, change.during);
      before.set(change.name, change.before);
    }
  } catch (error) {
    await putBack(endpoint, before);
    throw error;
  }
  return before;
}

/**
 * Makes the target a primary and gives it its settings back; tries for 30 s, since the data rests on it. Throws
 * LifeboatError `source` when it cannot be done, with what the operator has to do.
 */
export async function putBack(endpoint: RedisEndpoint, settings: ReadonlyMap<string, string>): Promise<void> {
  const giveUpAt = Date.now() + 30_000;
  for (;;) {
    try {
      await using target = await connectRedis(endpoint);
      await target.call('REPLICAOF', 'NO', 'ONE');
      for (const [name, value] of settings) await target.call('CONFIG', 'SET', name, value);
      return;
    } catch (error) {
      if (Date.now() < giveUpAt && error instanceof LifeboatError && error.retryable) {
        await sleep(500);
        continue;
      }
      const names = [...settings.keys()].join(', ');
      throw new LifeboatError('source', `cannot make Redis at ${endpoint.text} a primary again`, {
        state:
          'it is still a replica of a server that is gone; ' +
          `its settings ${names} may still be those of the restore`,
        hint: 'run on it: redis-cli REPLICAOF NO ONE, and set masterauth and masteruser as they should be',
        cause: error,
      });
    }
  }
}
