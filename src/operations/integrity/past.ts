/**
 * Whether the past is whole: each backup names the one before it, which must be there, in trash, or
 * recorded as deleted; none may be newer in this host's memory than in the repository. A repository that
 * was put back to an older state gives itself away here.
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
  }
  const all = new Set([...targets, ...sealed.flatMap(({ target }) => target ?? [])]);
  // One that is there, but damaged or without a key, is told as that.
  const isThere = async (id: string, seal: string): Promise<boolean> =>
    backups.some((each) => each.id === id && each.trust !== 'sealed') || isAccounted(id, seal);
  for (const target of all) await checkMemory(repository, target, sealed, isThere, ledger);
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

/** What this host has seen must still be there. */
async function checkMemory(
  repository: Repository,
  target: string,
  sealed: readonly KnownBackup[],
  isAccounted: (id: string, seal: string) => Promise<boolean>,
  ledger: Ledger,
): Promise<void> {
  const newest = sealed
    .filter((each) => each.folder === 'manifests/' && each.target === target)
    .toSorted((a, b) => Date.parse(b.startedAt ?? '') - Date.parse(a.startedAt ?? ''))[0];
  const remembered = await repository.state.rolledBackFrom(
    target,
    newest?.startedAt === undefined ? undefined : { startedAt: newest.startedAt },
  );
  if (remembered === undefined || (await isAccounted(remembered.id, remembered.seal))) return;
  ledger.fault(
    'rollback',
    manifestKey(remembered.id),
    `this host has seen it, taken ${remembered.startedAt}; now the newest of target ${target} is ` +
      (newest?.id ?? 'none'),
    [remembered.id],
  );
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
