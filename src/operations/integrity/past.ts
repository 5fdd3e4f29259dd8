/**
 * Whether the past is whole: each backup names the one before it, which must be there, in trash, or
 * recorded as deleted; and so must what this host remembers. A repository that was put back to an older
 * state gives itself away here.
 */
import { auditKey } from '../../repository/audit-names.ts';
import { readDeleted } from '../../repository/deletion/deleted-records.ts';
import { findUnexplained, hiddenWarning } from '../../repository/deletion/hidden-manifests.ts';
import type { Repository } from '../../repository/repository.ts';
import type { KnownBackup } from './expectation.ts';
import type { Ledger } from './ledger.ts';
import { manifestKey, trashKey } from '../../repository/object-keys.ts';

/** `targets`: the configured ones; those of the backups come in addition. `auditNumbers` by host, as listed. */
export async function checkPast(
  repository: Repository,
  backups: readonly KnownBackup[],
  targets: Iterable<string>,
  auditNumbers: ReadonlyMap<string, readonly number[]>,
  ledger: Ledger,
): Promise<void> {
  const sealed = backups.filter(({ trust }) => trust === 'sealed');
  const deleted = lazily(async () =>
    readDeleted(
      repository,
      [...auditNumbers].flatMap(([host, numbers]) => numbers.map((number) => auditKey(host, number))),
    ),
  );
  const isAccounted = async (id: string, seal: string): Promise<boolean> =>
    sealed.some((each) => each.id === id && each.seal === seal) || (await deleted()).has(`${id} ${seal}`);
  const told = new Set<string>();
  for (const { id, previous, folder } of sealed) {
    if (previous === undefined || folder !== 'manifests/' || (await isAccounted(previous.id, previous.seal))) continue;
    const found = backups.find((each) => each.id === previous.id);
    // A damaged one, or one that no key opens, is told as that.
    if (found !== undefined && found.trust !== 'sealed') continue;
    const problem =
      found === undefined
        ? 'it is gone: the next backup names it, and nothing records that it was deleted'
        : 'it is not the one that the next backup names: somebody replaced it';
    ledger.fault('chain', manifestKey(previous.id), problem, [id]);
    told.add(previous.id);
  }
  const all = new Set([...targets, ...sealed.flatMap(({ target }) => target ?? [])]);
  // One that is there, but damaged or without a key, is told as that.
  const isThere = async (id: string, seal: string): Promise<boolean> =>
    backups.some((each) => each.id === id && each.trust !== 'sealed') || isAccounted(id, seal);
  const past = { sealed, isAccounted: isThere, told };
  for (const target of all) await checkMemory(repository, target, past, ledger);
}

interface Past {
  readonly sealed: readonly KnownBackup[];
  readonly isAccounted: (id: string, seal: string) => Promise<boolean>;
  readonly told: ReadonlySet<string>;
}

/** What lies under delete markers, or in trash, must be there because lifeboat put it there. */
export async function checkHidden(repository: Repository, ledger: Ledger): Promise<void> {
  for (const each of (await findUnexplained(repository)) ?? []) {
    const { message, hint } = hiddenWarning(each);
    ledger.fault('hidden', each.by === 'trash' ? trashKey(each.id) : manifestKey(each.id), `${message}; ${hint}`, [
      each.id,
    ]);
  }
}

/** What this host has seen must still be there; `told`: ids of which that is said already. */
async function checkMemory(
  repository: Repository,
  target: string,
  { sealed, isAccounted, told }: Past,
  ledger: Ledger,
): Promise<void> {
  const seen = await repository.seen.all(target);
  const newest = sealed
    .filter((each) => each.folder === 'manifests/' && each.target === target)
    .toSorted((a, b) => Date.parse(b.startedAt ?? '') - Date.parse(a.startedAt ?? ''))[0];
  // Without a key nobody can tell what was deleted; the newest never is.
  for (const { id, seal, startedAt } of repository.canRead ? seen : seen.slice(0, 1)) {
    if (told.has(id) || (await isAccounted(id, seal))) continue;
    const problem = `this host has seen it, taken ${startedAt}; now the newest of target ${target} is `;
    ledger.fault('rollback', manifestKey(id), problem + (newest?.id ?? 'none'), [id]);
  }
}

/**
 * By the names of audit records alone, which is quick: they have no gaps, and reach as far as backups have seen them.
 */
export function checkAuditNumbers(
  backups: readonly KnownBackup[],
  auditNumbers: ReadonlyMap<string, readonly number[]>,
  ledger: Ledger,
): void {
  for (const [host, numbers] of auditNumbers) {
    let expected = 1;
    for (const number of numbers) {
      if (number !== expected) {
        ledger.fault(
          'chain',
          auditKey(host, expected),
          `audit records ${expected} to ${number - 1} of ${host} are missing`,
          [],
        );
      }
      expected = number + 1;
    }
  }
  for (const { id, head } of backups) {
    if (head === undefined || head.number === 0) continue;
    const last = auditNumbers.get(head.host)?.at(-1) ?? 0;
    if (last < head.number) {
      ledger.fault(
        'chain',
        auditKey(head.host, last + 1),
        `the audit log of ${head.host} ends at ${last}, but backup ${id} was taken when it had ${head.number} records`,
        [id],
      );
    }
  }
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return async () => (made ??= make());
}
