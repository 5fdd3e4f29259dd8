/** What became of a slot: one record for each attempt, written when it has ended. */
import { z } from 'zod';
import { backupIdPattern } from '../manifests/ids.ts';
import type { ListedManifest } from '../manifests/listing.ts';
import type { Repository } from '../repository.ts';
import { openSealedText, sealText } from '../box/sealed-text.ts';
import { putDocument, readDocuments } from './documents.ts';
import { recordKey, slotOfTag, type ScheduleKey, type SlotName } from './names.ts';

/**
 * - done: what the schedule stands for was done
 * - failed: it was not, or its answer is none that one wants
 * - hung: it was ended, since nothing moved or it took too long
 * - skipped: the moment was missed, and is to stay so
 * - aborted: somebody ended it
 */
export const slotOutcomes = ['done', 'failed', 'hung', 'skipped', 'aborted'] as const;
export type SlotOutcome = (typeof slotOutcomes)[number];

const time = z.iso.datetime();

const recordSchema = z.object({
  host: z.string().max(255),
  user: z.string().max(255),
  due: time,
  attempt: z.int().min(0).max(1000),
  outcome: z.enum(slotOutcomes),
  startedAt: time,
  finishedAt: time,
  exitCode: z.int(),
  /** Of the error. */
  code: z.string().max(100).optional(),
  backup: z.string().regex(backupIdPattern).optional(),
  /** Moments before that passed without a run, and that this one stands for. */
  covers: z.int().nonnegative().optional(),
  /** Encrypted where the repository is, since it may name what is backed up. */
  message: z.string().max(20_000).optional(),
  dataKey: z.string().optional(),
});

/** Times RFC 3339 in UTC. */
export type SlotRecord = z.infer<typeof recordSchema>;

/** A record that counts, with its due moment in milliseconds since 1970. */
export interface ReadSlot extends SlotRecord {
  readonly object: string;
  readonly dueMs: number;
}

/** Without host and user, which are ours. */
export type SlotDraft = Omit<SlotRecord, 'host' | 'user' | 'dataKey'>;

/** Throws what the storage throws, `key` without a key to write with. */
export async function writeSlot(repository: Repository, of: ScheduleKey, draft: SlotDraft): Promise<string> {
  const object = recordKey(of, Date.parse(draft.due));
  const { dataKey } = await repository.writeKey();
  const { message, ...open } = draft;
  const sealed = message === undefined ? {} : { message: await sealText(message.slice(0, 4000), object, dataKey) };
  await putDocument(repository, object, { ...namesOf(of), ...open, ...sealed });
  return object;
}

/** Those of these names that count, by due moment. */
export async function openSlots(
  repository: Repository,
  of: ScheduleKey,
  names: readonly SlotName[],
): Promise<ReadSlot[]> {
  const read = await readDocuments(repository, of, names, recordSchema);
  // A record under the name of another moment says nothing.
  const fitting = read.filter(({ members, atMs }) => Date.parse(members.due) === atMs);
  return fitting.map(({ object, atMs, members }) => ({ ...members, object, dueMs: atMs }));
}

/** What a record says in words. Throws LifeboatError `integrity`. */
export async function messageOfSlot(
  { keyring }: Pick<Repository, 'keyring'>,
  { message, object, dataKey }: Pick<ReadSlot, 'message' | 'object' | 'dataKey'>,
): Promise<string | undefined> {
  if (message === undefined) return undefined;
  return openSealedText(message, object, dataKey === undefined ? undefined : await keyring?.open(dataKey));
}

/** The slots that a backup names by its tags, where its manifest counts. */
export async function slotsOfBackup(
  repository: Repository,
  listed: ListedManifest,
): Promise<{ readonly id: string; readonly dueMs: number }[]> {
  const slots = (listed.manifest?.tags ?? []).flatMap((tag) => slotOfTag(tag) ?? []);
  return slots.length > 0 && (await repository.vouchesFor(listed)) ? slots : [];
}

/** Members that tie a document to its schedule. */
export function namesOf({ target, id }: ScheduleKey): Record<string, string> {
  return { ...(target === undefined ? {} : { target }), schedule: id };
}
