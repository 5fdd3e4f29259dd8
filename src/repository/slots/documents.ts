/**
 * Reading and writing what lies of slots: sealed records like notes, bounded in size and number, of which only
 * authentic ones count. Without encryption that is what this host, or a writer in encryption.trustedKeys, has signed.
 */
import type { z } from 'zod';
import { uncompiled } from '../../config/uncompiled.ts';
import { mapInOrder } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { ownIdentity } from '../../lib/process-identity.ts';
import { NotFoundError } from '../../storage/storage.ts';
import { distrustOf, openRecord, sealRecord } from '../keys/sealed-records.ts';
import type { Repository } from '../repository.ts';
import { parseSlotName, scheduleFolder, type ScheduleKey, type SlotName } from './names.ts';

/** Ours are a few hundred bytes; what is larger was made by somebody else. */
const maxBytes = 64 * 1024;
/** Whoever writes to the bucket may have put any number there: no more of one moment are read. */
const readPerMoment = 256;
const readAtOnce = 16;

/** A document that counts. */
export interface AuthenticDocument<T> extends SlotName {
  readonly members: T;
}

/** Writes one, sealed and signed. Throws what the storage throws, `key` without a key to write with. */
export async function putDocument(repository: Repository, object: string, members: object): Promise<void> {
  const key = await repository.writeKey();
  const { host, user } = ownIdentity();
  await repository.storage.put(object, [sealRecord(object, { host, user, ...members }, key)]);
}

/** Those of these names that count. Throws only what the storage throws. */
export async function readDocuments<T>(
  repository: Repository,
  of: ScheduleKey,
  names: readonly SlotName[],
  schema: z.ZodType<T>,
): Promise<AuthenticDocument<T>[]> {
  const found: AuthenticDocument<T>[] = [];
  const perMoment = Map.groupBy(names, ({ atMs }) => atMs);
  const bounded = [...perMoment.values()].flatMap((each) => each.slice(0, readPerMoment));
  for await (const members of mapInOrder(bounded, async (name) => readOne(repository, of, name, schema), readAtOnce)) {
    if (members !== undefined) found.push(members);
  }
  return found;
}

/** The names in the folder of a schedule, by name; those with other names and too large ones are left out. */
export async function slotNames(
  { storage }: Pick<Repository, 'storage'>,
  of: ScheduleKey,
  after?: string,
): Promise<SlotName[]> {
  const names: SlotName[] = [];
  for await (const { key, sizeBytes } of storage.list(scheduleFolder(of), after)) {
    const name = sizeBytes > maxBytes ? undefined : parseSlotName(key);
    if (name !== undefined) names.push(name);
  }
  return names;
}

/** The names of all schedules in one listing. */
export async function allSlotNames({ storage }: Pick<Repository, 'storage'>): Promise<Map<string, SlotName[]>> {
  const byFolder = new Map<string, SlotName[]>();
  for await (const { key, sizeBytes } of storage.list('schedules/')) {
    const name = sizeBytes > maxBytes ? undefined : parseSlotName(key);
    if (name === undefined) continue;
    const folder = scheduleFolder(name);
    const known = byFolder.get(folder);
    if (known === undefined) byFolder.set(folder, [name]);
    else known.push(name);
  }
  return byFolder;
}

async function readOne<T>(
  repository: Repository,
  of: ScheduleKey,
  name: SlotName,
  schema: z.ZodType<T>,
): Promise<AuthenticDocument<T> | undefined> {
  try {
    const opened = await openRecord(await repository.storage.get(name.object), name.object, repository.keyring);
    if (distrustOf(opened) !== undefined) return undefined;
    if (!(await repository.vouchesFor({ trust: 'sealed', signedBy: opened.signedBy }))) return undefined;
    const parsed = schema.safeParse(opened.members, uncompiled);
    const { target, schedule } = opened.members;
    if (!parsed.success || schedule !== of.id || target !== of.target) return undefined;
    return { ...name, members: parsed.data };
  } catch (error) {
    const isNone = error instanceof LifeboatError && ['integrity', 'key'].includes(error.code);
    if (isNone || error instanceof NotFoundError) return undefined;
    throw error;
  }
}
