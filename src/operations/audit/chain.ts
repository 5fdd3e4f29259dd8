/**
 * Is the audit log what was written? Each host's records must have numbers without gaps, each its seal and that of
 * the one before it; and the chain must reach as far as manifests say that it had come, and as far as this host
 * remembers. Whatever is cut out, put back, changed or moved shows itself in one of these.
 */
import { mapInOrder } from '../../lib/concurrency.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { distrustOf } from '../../repository/keys/sealed-records.ts';
import { auditHost, auditKey, parseAuditKey, zeroSeal, type AuditHead } from '../../repository/audit-names.ts';
import { readAudit, type AuditRecord } from '../../repository/audit.ts';
import type { Repository } from '../../repository/repository.ts';
import { NotFoundError } from '../../storage/storage.ts';
import { reasonFor } from '../../repository/box/seal.ts';

/**
 * `missing`: a number has no record. `damaged`: its seal does not hold. `broken`: it does not follow the one before it.
 * `cut`: the log had come further. `untrusted`: nobody who counts has signed it, or no key opens it.
 */
export interface AuditFinding {
  readonly kind: 'missing' | 'damaged' | 'broken' | 'cut' | 'untrusted';
  readonly weight: 'fault' | 'warning';
  readonly object: string;
  readonly problem: string;
}

export interface AuditEntry {
  readonly object: string;
  /** Name of the chain: the host's name as an object's key can hold it. */
  readonly chain: string;
  readonly number: number;
  readonly record: AuditRecord;
}

export interface ReadAuditLog {
  /** Host by host, in the order of their numbers; only those that are authentic. */
  readonly entries: readonly AuditEntry[];
  readonly findings: readonly AuditFinding[];
}

type Read = { readonly seal: string; readonly record: AuditRecord } | { readonly finding: AuditFinding };

/** Records read side by side. */
const parallelGets = 16;

/** Reads and checks every chain, or that of one host only. */
export async function readAuditLog(repository: Repository, signal: AbortSignal, only?: string): Promise<ReadAuditLog> {
  const numbers = new Map<string, number[]>();
  const entries: AuditEntry[] = [];
  const findings: AuditFinding[] = [];
  for await (const { key } of repository.storage.list(only === undefined ? 'audit/' : `audit/${only}/`)) {
    const name = parseAuditKey(key);
    if (name === undefined) findings.push(notOurs(key));
    else numbers.set(name.host, [...(numbers.get(name.host) ?? []), name.number]);
  }
  const seals = new Map<string, string | undefined>();
  for (const [host, listed] of numbers) await readChain(repository, host, listed, { entries, findings, seals }, signal);
  for (const { head, says } of await knownHeads(repository, only)) checkHead(head, says, numbers, seals, findings);
  return { entries, findings: withoutRepeats(findings) };
}

/** Whoever may write to the repository can leave anything there; it is no fault of the log. */
function notOurs(object: string): AuditFinding {
  const problem = 'no lifeboat wrote it: it is not named as a record, or its number is beyond all counting; remove it';
  return { kind: 'untrusted', weight: 'warning', object, problem };
}

interface Reading {
  readonly entries: AuditEntry[];
  readonly findings: AuditFinding[];
  /** Of each record that is there, by object; undefined where it cannot be read. */
  readonly seals: Map<string, string | undefined>;
}

async function readChain(
  repository: Repository,
  host: string,
  numbers: readonly number[],
  { entries, findings, seals }: Reading,
  signal: AbortSignal,
): Promise<void> {
  let before: string | undefined = zeroSeal;
  let expected = 1;
  const read = async (number: number): Promise<{ readonly number: number; readonly found: Read }> => {
    signal.throwIfAborted();
    return { number, found: await readOne(repository, auditKey(host, number)) };
  };
  for await (const { number, found } of mapInOrder(numbers, read, parallelGets)) {
    const object = auditKey(host, number);
    if (number !== expected) {
      findings.push(gap(host, expected, number - 1));
      before = undefined;
    }
    expected = number + 1;
    if ('finding' in found) findings.push(found.finding);
    else {
      if (before !== undefined && found.record.before !== before) findings.push(replaced(object));
      entries.push({ object, chain: host, number, record: found.record });
    }
    before = 'finding' in found ? undefined : found.seal;
    seals.set(object, before);
  }
}

function gap(host: string, first: number, last: number): AuditFinding {
  const which = first === last ? `record ${first} is` : `records ${first} to ${last} are`;
  return { kind: 'missing', weight: 'fault', object: auditKey(host, first), problem: `${which} missing` };
}

function replaced(object: string): AuditFinding {
  const problem = 'it does not follow the record before it: one of them was replaced';
  return { kind: 'broken', weight: 'fault', object, problem };
}

async function readOne(repository: Repository, object: string): Promise<Read> {
  try {
    const opened = await readAudit(repository, object);
    const distrust = distrustOf(opened);
    if (distrust === undefined) return { seal: opened.seal, record: opened.record };
    return { finding: { kind: 'untrusted', weight: 'warning', object, problem: distrust } };
  } catch (error) {
    if (error instanceof NotFoundError) {
      return { finding: { kind: 'missing', weight: 'fault', object, problem: 'it is gone' } };
    }
    if (!(error instanceof LifeboatError) || !['integrity', 'key'].includes(error.code)) throw error;
    const problem = reasonFor(object, error);
    if (error.code === 'key') return { finding: { kind: 'untrusted', weight: 'warning', object, problem } };
    return { finding: { kind: 'damaged', weight: 'fault', object, problem } };
  }
}

/** How far chains had come, by those who have seen it. */
async function knownHeads(
  repository: Repository,
  only: string | undefined,
): Promise<{ readonly head: AuditHead; readonly says: string }[]> {
  const heads: { head: AuditHead; says: string }[] = [];
  for (const folder of ['manifests/', 'trash/'] as const) {
    for await (const { manifest, trust } of repository.listManifests({ folder })) {
      if (trust === 'sealed' && manifest?.head !== undefined) {
        heads.push({ head: manifest.head, says: `backup ${manifest.id} was taken when the log had come` });
      }
    }
  }
  const own = await repository.state.newestAudit(auditHost());
  if (own !== undefined) heads.push({ head: own, says: 'this host remembers that it had written' });
  return heads.filter(({ head }) => only === undefined || head.host === only);
}

function checkHead(
  { host, number, seal }: AuditHead,
  says: string,
  numbers: ReadonlyMap<string, readonly number[]>,
  seals: ReadonlyMap<string, string | undefined>,
  findings: AuditFinding[],
): void {
  const object = auditKey(host, number);
  const last = numbers.get(host)?.at(-1) ?? 0;
  if (last < number) {
    const problem = `${says} to number ${number}, but it ends at ${last}`;
    findings.push({ kind: 'cut', weight: 'fault', object: auditKey(host, last + 1), problem });
  }
  const found = seals.get(object);
  if (found !== undefined && found !== seal) {
    const problem = `${says} to number ${number}, with another record`;
    findings.push({ kind: 'broken', weight: 'fault', object, problem });
  }
}

/** Many backups tell the same of one record: once is enough, the first. */
function withoutRepeats(findings: readonly AuditFinding[]): AuditFinding[] {
  const seen = new Set<string>();
  return findings.filter(({ kind, object }) => !seen.has(`${kind} ${object}`) && seen.add(`${kind} ${object}`));
}
