/**
 * The audit log: who changed, restored, took out or deleted what, one chain of sealed records for each host. A
 * record carries the seal of the one before it, so none can be changed, moved or left out unseen; manifests and
 * the state folder remember how far the chain had come, so its end cannot be cut off either. What would tell of
 * the content (arguments, messages) is encrypted in it. Layout: man lifeboat-repository(7).
 */
import { parseJson } from '../lib/json.ts';
import { hostname, userInfo } from 'node:os';
import { z } from 'zod';
import { faultIn } from '../config/schema-words.ts';
import { LifeboatError, messageOf } from '../lib/errors.ts';
import type { Json } from '../source/source.ts';
import { AlreadyExistsError, NotFoundError, isDenied, type Storage } from '../storage/storage.ts';
import {
  auditHost,
  auditKey,
  endOfChain,
  maxAuditNumber,
  parseAuditKey,
  zeroSeal,
  type AuditHead,
} from './audit-names.ts';
import { boxKind } from './box/layout.ts';
import { openBox, sealBox } from './box/box.ts';
import type { DataKey } from './box/crypto.ts';
import { openRecord, sealRecord, type OpenedDocument } from './keys/sealed-records.ts';
import type { Repository } from './repository.ts';
import { damaged, splitDocument } from './box/seal.ts';

/** What a command did, as it is to be recorded. Times in milliseconds since 1970. */
export interface AuditDraft {
  readonly command: string;
  readonly target?: string | undefined;
  /** Full ids of the backups that it worked on or made. */
  readonly ids: readonly string[];
  readonly outcome: 'ok' | 'failed';
  readonly exitCode: number;
  readonly startedMs: number;
  readonly finishedMs: number;
  /** Encrypted where the repository is: no secrets, but names. */
  readonly details: AuditDetails;
  /** Backups that are deleted for good. */
  readonly deleted?: readonly { readonly id: string; readonly seal: string }[];
}

const detailsSchema = z.object({
  arguments: z.record(z.string(), z.json()) as z.ZodType<Readonly<Record<string, Json>>>,
  /** Of a failure. */
  message: z.string().optional(),
  /** More that a command had to tell: the step of an emergency restore. */
  step: z.string().optional(),
});
export type AuditDetails = z.infer<typeof detailsSchema>;

const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

const recordSchema = z.object({
  before: hex64,
  command: z.string(),
  host: z.string(),
  user: z.string(),
  uid: z.int(),
  target: z.string().optional(),
  ids: z.array(z.string()),
  outcome: z.enum(['ok', 'failed']),
  exitCode: z.int(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  details: z.union([detailsSchema, z.base64()]),
  deleted: z.array(z.object({ id: z.string(), seal: z.string() })).optional(),
});

/** As read; details are open, or undefined where they could not be opened. */
export interface AuditRecord extends Omit<z.infer<typeof recordSchema>, 'details'> {
  readonly details: AuditDetails | undefined;
}

/** So many numbers that others took are passed over in a row. */
const maxTaken = 10_000;

/**
 * Appends one record to this host's chain and remembers it: where that fails the record is there all the same, and
 * `onWarning` is told. Of two runs at once each takes the next free number. Throws `key` without a key to write with,
 * and what the storage throws.
 */
export async function appendAudit(
  repository: Repository,
  draft: AuditDraft,
  onWarning: (message: string) => void,
): Promise<AuditHead> {
  const { storage, state } = repository;
  const key = await repository.writeKey();
  let before = (await auditHead(repository).catch(notListed)) ?? { host: auditHost(), number: 0, seal: zeroSeal };
  for (let taken = 0; taken < maxTaken && before.number < maxAuditNumber; taken++) {
    const object = auditKey(before.host, before.number + 1);
    const bytes = sealRecord(object, await membersOf(draft, object, before.seal, key.dataKey), key);
    try {
      await storage.put(object, [bytes]);
      const head = { host: before.host, number: before.number + 1, seal: sealOf(bytes, object) };
      await state.rememberAudit(head).catch((error: unknown) => {
        onWarning(`the audit record ${object} is written, but this host does not remember it: ${messageOf(error)}`);
      });
      return head;
    } catch (error) {
      if (!(error instanceof AlreadyExistsError)) throw error;
      before = { host: before.host, number: before.number + 1, seal: await readSeal(storage, object) };
    }
  }
  throw new LifeboatError('integrity', `no number is free for an audit record before ${before.number + 1}`, {
    hint: `find out who wrote the records in audit/${before.host}/; lifeboat audit tells which ones are not ours`,
  });
}

/** A host that may write, but not list, finds the end of its chain by the numbers that are taken. */
function notListed(error: unknown): undefined {
  if (!isDenied(error)) throw error;
}

async function membersOf(
  draft: AuditDraft,
  object: string,
  before: string,
  dataKey: DataKey | undefined,
): Promise<Record<string, unknown>> {
  const { command, target, ids, outcome, exitCode, startedMs, finishedMs, deleted } = draft;
  const { username, uid } = whoAmI();
  return {
    before,
    command,
    host: hostname(),
    user: username,
    uid,
    ...(target === undefined ? {} : { target }),
    ids: [...ids],
    outcome,
    exitCode,
    startedAt: new Date(startedMs).toISOString(),
    finishedAt: new Date(finishedMs).toISOString(),
    ...(deleted === undefined ? {} : { deleted: [...deleted] }),
    details: await sealDetails(draft.details, object, dataKey),
  };
}

/** A uid without a passwd entry is no reason to fail. */
function whoAmI(): { readonly username: string; readonly uid: number } {
  try {
    return userInfo();
  } catch {
    return { username: '', uid: process.getuid?.() ?? -1 };
  }
}

/** Plain without encryption; else a box of its own in base64, bound to the record's name. */
async function sealDetails(
  details: AuditDetails,
  object: string,
  dataKey: DataKey | undefined,
): Promise<AuditDetails | string> {
  if (dataKey === undefined) return details;
  const parts = await sealBox(boxKind.document, object, dataKey, Buffer.from(JSON.stringify(details)), {
    method: 'none',
    level: 0,
  });
  return Buffer.concat(parts).toString('base64');
}

/**
 * The newest record of this host as far as it is known: what the state folder remembers, else what the repository
 * lists. Undefined: none yet.
 */
export async function auditHead(repository: Repository): Promise<AuditHead | undefined> {
  const host = auditHost();
  const remembered = await repository.state.newestAudit(host);
  if (remembered !== undefined) return remembered;
  const numbers: number[] = [];
  for await (const { key } of repository.storage.list(`audit/${host}/`)) {
    const name = parseAuditKey(key);
    if (name !== undefined) numbers.push(name.number);
  }
  const number = endOfChain(numbers);
  if (number === undefined) return undefined;
  return { host, number, seal: await readSeal(repository.storage, auditKey(host, number)) };
}

/**
 * The seal that a record says it has: good enough to point at it. One that is no document any more is told by the check
 * of the chain; what follows it begins anew.
 */
async function readSeal(storage: Storage, object: string): Promise<string> {
  const bytes = await storage.get(object);
  try {
    return splitDocument(bytes, object).seal;
  } catch {
    return zeroSeal;
  }
}

function sealOf(bytes: Buffer, object: string): string {
  return splitDocument(bytes, object).seal;
}

/**
 * One record with what is known of who wrote it. Throws `integrity` if it is damaged, `key` if no key opens it,
 * NotFoundError.
 */
export async function readAudit(
  repository: Repository,
  object: string,
): Promise<OpenedDocument & { readonly record: AuditRecord }> {
  const opened = await openRecord(await repository.storage.get(object), object, repository.keyring);
  const parsed = recordSchema.safeParse(opened.members);
  if (!parsed.success) throw damaged(object, `it is not of a shape that this version knows: ${faultIn(parsed.error)}`);
  return {
    ...opened,
    record: {
      ...parsed.data,
      details: await openDetails(repository, parsed.data.details, object, opened.members['dataKey']),
    },
  };
}

async function openDetails(
  { keyring }: Repository,
  details: AuditDetails | string,
  object: string,
  dataKeyId: unknown,
): Promise<AuditDetails | undefined> {
  if (typeof details !== 'string') return details;
  if (keyring === undefined || typeof dataKeyId !== 'string') return undefined;
  const text = await openBox(Buffer.from(details, 'base64'), boxKind.document, object, await keyring.open(dataKeyId));
  const parsed = detailsSchema.safeParse(parseDetails(text.toString(), object));
  return parsed.success ? parsed.data : undefined;
}

function parseDetails(text: string, object: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw damaged(object, 'its details are not JSON', cause);
  }
}

/** True if a record is there with that seal; false if it is gone or another one. */
export async function holdsHead(storage: Storage, { host, number, seal }: AuditHead): Promise<boolean> {
  try {
    return (await readSeal(storage, auditKey(host, number))) === seal;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}
