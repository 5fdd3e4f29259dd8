/**
 * Notes: what people said of a backup after it was taken (hold, tags, "its small size is meant"), as sealed
 * records notes/<backup>/<UTC time>-<4 hex>.json. Each holds all that is said, so the greatest name wins; only
 * authentic ones count, and one that no clock shows yet only where a trusted writer vouches for it. Where versions are
 * kept, one that somebody deleted or overwrote goes on counting: a hold is not lost so. Layout: man
 * lifeboat-repository(7).
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { uncompiled } from '../../config/uncompiled.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { ownIdentity } from '../../lib/process-identity.ts';
import { compactUtc, expandUtc } from '../../lib/time.ts';
import { NotFoundError } from '../../storage/storage.ts';
import { isAheadOfClocks } from '../clocks.ts';
import { everStored, openTrue } from '../earlier-versions.ts';
import { distrustOf, openRecord, sealRecord, type OpenedDocument } from '../keys/sealed-records.ts';
import { isBackupId } from '../manifests/ids.ts';
import type { Manifest } from '../manifests/manifest.ts';
import type { Repository } from '../repository.ts';
import { reasonFor } from '../box/seal.ts';

const noteSchema = z.object({
  object: z.string(),
  at: z.iso.datetime(),
  host: z.string().max(255),
  user: z.string().max(255),
  /** Undefined: not on hold. */
  hold: z
    .object({
      since: z.iso.datetime(),
      reason: z.string().max(1000),
      /** Undefined: until it is released. */
      until: z.iso.datetime().optional(),
    })
    .optional(),
  /** Besides those that the manifest has. */
  tags: z.array(z.string().min(1).max(200)).max(100),
  /** Its small size is intended. */
  acknowledged: z.boolean(),
});

/** One record; times RFC 3339 in UTC. */
export type Note = z.infer<typeof noteSchema>;

/** What is to be said from now on; what is left out stays as it was. */
export interface NoteChange {
  /** Null: released. */
  readonly hold?: { readonly reason: string; readonly until?: Date | undefined } | null;
  readonly addTags?: readonly string[];
  readonly removeTags?: readonly string[];
  readonly acknowledged?: boolean;
}

export interface ReadNotes {
  /** The newest that counts. */
  readonly note: Note | undefined;
  /** Newer ones that do not count, each with its reason. */
  readonly passedOver: readonly { readonly object: string; readonly reason: string; readonly damaged: boolean }[];
}

/** The hold that a note says there is, unless it has run out. */
export function holdOf(note: Note | undefined, nowMs: number): Note['hold'] {
  const hold = note?.hold;
  return hold?.until !== undefined && Date.parse(hold.until) <= nowMs ? undefined : hold;
}

/** What is said of a backup now. Throws only what the storage throws. */
export async function readNotes(
  repository: Pick<Repository, 'storage' | 'keyring' | 'vouchesFor'>,
  backupId: string,
  names?: readonly string[],
): Promise<ReadNotes> {
  const passedOver: { object: string; reason: string; damaged: boolean }[] = [];
  for (const object of (names ?? (await noteNames(repository, backupId))).toReversed()) {
    try {
      const opened = await openTrue(repository.storage, object, (bytes) =>
        openRecord(bytes, object, repository.keyring),
      );
      const distrust = distrustOf(opened) ?? (await whyTooEarly(repository, object, opened));
      const parsed = noteSchema.safeParse(opened.members, uncompiled);
      if (distrust === undefined && parsed.success) return { note: parsed.data, passedOver };
      passedOver.push({
        object,
        reason: distrust ?? 'it is not of a shape that this version knows',
        damaged: distrust === undefined,
      });
    } catch (error) {
      if (error instanceof NotFoundError) continue;
      if (!(error instanceof LifeboatError) || !['integrity', 'key'].includes(error.code)) throw error;
      // One of ours may have said "hold"; but of such a time ours are not, and no later one would end what it may say.
      passedOver.push({ object, reason: reasonFor(object, error), damaged: !isAheadOfClocks(timeOf(object)) });
    }
  }
  return { note: undefined, passedOver };
}

/** A host whose clock is ahead may have written it; and whoever wants theirs to win, where anybody can write one. */
async function whyTooEarly(
  repository: Pick<Repository, 'vouchesFor'>,
  object: string,
  { signedBy }: OpenedDocument,
): Promise<string | undefined> {
  if (!isAheadOfClocks(timeOf(object))) return undefined;
  if (await repository.vouchesFor({ trust: 'sealed', signedBy })) return undefined;
  return 'it is of a time that no clock shows yet, and neither this host nor a listed writer signed it';
}

/** The names of all notes in one listing, by backup id, oldest first. */
export async function allNoteNames({ storage }: Pick<Repository, 'storage'>): Promise<Map<string, string[]>> {
  const byBackup = new Map<string, string[]>();
  for await (const { key } of everStored(storage, 'notes/')) {
    const id = noteOf(key);
    if (id !== undefined) byBackup.set(id, [...(byBackup.get(id) ?? []), key]);
  }
  return byBackup;
}

/**
 * Says something more of a backup; to be called under the `cleanup` lease, or of two at once one is lost. Returns
 * what is said now. Throws `key` without the backup's key.
 */
export async function writeNote(
  repository: Repository,
  manifest: Manifest,
  change: NoteChange,
  now = new Date(),
): Promise<Note> {
  const names = await noteNames(repository, manifest.id);
  const { note: before } = await readNotes(repository, manifest.id, names);
  const newest = names.findLast((name) => name === before?.object || !isAheadOfClocks(timeOf(name)));
  const object = nextName(manifest.id, newest, now);
  const at = now.toISOString();
  const { host, user } = ownIdentity();
  const hold =
    change.hold === undefined
      ? before?.hold
      : change.hold === null
        ? undefined
        : {
            since: before?.hold?.since ?? at,
            reason: change.hold.reason,
            ...(change.hold.until === undefined ? {} : { until: change.hold.until.toISOString() }),
          };
  const tags = new Set([...(before?.tags ?? []), ...(change.addTags ?? [])]);
  for (const tag of change.removeTags ?? []) tags.delete(tag);
  const note: Note = {
    object,
    at,
    host,
    user,
    ...(hold === undefined ? {} : { hold }),
    tags: [...tags],
    acknowledged: change.acknowledged ?? before?.acknowledged ?? false,
  };
  const key = { dataKey: await repository.dataKeyOf(manifest), signer: await repository.signer() };
  const { object: _, ...members } = note;
  await repository.storage.put(object, [sealRecord(object, members, key)]);
  return note;
}

async function noteNames({ storage }: Pick<Repository, 'storage'>, backupId: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { key } of everStored(storage, `notes/${backupId}/`)) if (noteOf(key) !== undefined) names.push(key);
  return names;
}

function noteOf(key: string): string | undefined {
  const match = /^notes\/([^/]+)\/\d{8}T\d{6}Z-[0-9a-f]{4}\.json$/.exec(key);
  return match?.[1] !== undefined && isBackupId(match[1]) ? match[1] : undefined;
}

/**
 * Greater than the newest that may count, also where that was written by a clock that is ahead of ours. Throws `usage`
 * where there is none.
 */
function nextName(backupId: string, newest: string | undefined, now: Date): string {
  const name = (atMs: number): string =>
    `notes/${backupId}/${compactUtc(new Date(atMs))}-${randomBytes(2).toString('hex')}.json`;
  const wanted = name(now.getTime());
  if (newest === undefined || wanted > newest) return wanted;
  const nextMs = Date.parse(timeOf(newest)) + 1000;
  if (nextMs <= lastMs) return name(nextMs);
  throw new LifeboatError('usage', `cannot say anything of backup ${backupId} after ${newest}`, {
    state: 'nothing was changed',
    hint: 'a host whose clock was wrong wrote that one: remove it, and say again what it said',
  });
}

/** Names end there. */
const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59);

/** What a name says of its time, RFC 3339 in UTC; it may be no moment at all. */
function timeOf(object: string): string {
  return expandUtc(/(\d{8}T\d{6}Z)-[0-9a-f]{4}\.json$/.exec(object)?.[1] ?? '');
}
