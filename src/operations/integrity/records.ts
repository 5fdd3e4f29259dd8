/** The records of a repository beside its backups: key files, evidence, notes, leases, and the script for rescue. */
import { LifeboatError } from '../../lib/errors.ts';
import { distrustOf, openRecord } from '../../repository/keys/sealed-records.ts';
import { readEvidence } from '../../repository/backups/evidence.ts';
import { parseEvidenceName } from '../../repository/backups/evidence-record.ts';
import { parseKeyFile } from '../../repository/keys/file.ts';
import { listLeases } from '../../repository/leases/record.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { rescueScript } from '../../repository/rescue/install.ts';
import { NotFoundError } from '../../storage/storage.ts';
import type { KnownBackup } from './expectation.ts';
import type { Ledger } from './ledger.ts';
import { asFault, faultOf } from '../validate/damage.ts';
import { checkKeyFile } from '../validate/objects.ts';
import { keyCopyKey } from '../../repository/object-keys.ts';

/**
 * Every data key that a backup names must have its key file; every key file must be sound; copies must be equal, but
 * for those in `faulty`.
 */
export async function checkKeys(
  repository: Repository,
  backups: readonly KnownBackup[],
  listed: readonly string[],
  faulty: ReadonlySet<string>,
  ledger: Ledger,
): Promise<void> {
  const { storage, keyring } = repository;
  if (keyring === undefined) return;
  const used = Map.groupBy(
    backups.filter(({ dataKey }) => dataKey !== undefined),
    ({ dataKey }) => dataKey ?? '',
  );
  const ids = new Set([...used.keys(), ...listed.map((key) => key.slice('keys/'.length, -'.json'.length))]);
  for (const id of ids) {
    const object = `keys/${id}.json`;
    const under = used.get(id) ?? [];
    let original: Buffer | undefined;
    const fault = await faultOf(storage, object, async (bytes) => {
      parseKeyFile(bytes, object, id);
      original = bytes;
      const opened = await keyring.open(id, under[0]?.id).catch(ignoreKey);
      if (opened !== undefined) await checkKeyFile(bytes, object, opened);
    });
    if (fault !== undefined) {
      ledger.fault(
        fault.kind,
        object,
        fault.problem,
        under.map((each) => each.id),
      );
    } else if (original !== undefined) {
      await compareCopies(
        repository,
        original,
        object,
        under.filter((each) => !faulty.has(keyCopyKey(each.id))),
        ledger,
      );
    }
  }
}

/**
 * Copies are rewritten after the original: one that differs was left by a change that was cut short, or somebody put an
 * old one back.
 */
async function compareCopies(
  { storage }: Repository,
  original: Buffer,
  object: string,
  under: readonly KnownBackup[],
  ledger: Ledger,
): Promise<void> {
  const different: string[] = [];
  for (const { id } of under) {
    const copy = await storage.get(keyCopyKey(id)).catch(ignoreAbsent);
    if (copy !== undefined && !copy.equals(original)) different.push(id);
  }
  if (different.length > 0) {
    ledger.warning(
      'differs',
      object,
      `the copies beside ${different.length} of its backups are others: a change of recipients was cut short ` +
        '(repeat it), or an older file was put back',
      different,
    );
  }
}

/** Evidence and notes must be authentic and of what they say; `manifests` by backup id. */
export async function checkRecords(
  repository: Repository,
  backups: ReadonlyMap<string, KnownBackup>,
  evidence: readonly string[],
  notes: readonly string[],
  ledger: Ledger,
): Promise<void> {
  for (const object of evidence) {
    const name = parseEvidenceName(object);
    const backup = backups.get(name?.backupId ?? '');
    // Without the manifest nobody knows what it should be of.
    if (name === undefined || backup?.trust !== 'sealed') continue;
    const { reason } = await readEvidence(
      repository,
      { id: backup.id, seal: backup.seal, manifest: undefined as Manifest | undefined },
      name,
    );
    if (reason !== undefined && reason !== 'it is gone') {
      ledger.warning('untrusted', object, `it does not count: ${reason}`, [backup.id]);
    }
  }
  for (const object of notes) {
    try {
      const reason = distrustOf(await openRecord(await repository.storage.get(object), object, repository.keyring));
      if (reason !== undefined) ledger.warning('untrusted', object, `it does not count: ${reason}`);
    } catch (error) {
      if (error instanceof LifeboatError && error.code === 'key') continue;
      const fault = asFault(error, object);
      if (fault.kind !== 'missing') ledger.warning('untrusted', object, `it does not count: ${fault.problem}`);
    }
  }
}

/** Leases of runs that are dead; what the storage cannot tell the age of is left alone. */
export async function checkLeases({ storage }: Repository, nowMs: number, ledger: Ledger): Promise<void> {
  const { leases } = await listLeases(storage, undefined, () => nowMs);
  for (const { object, status, record } of leases) {
    if (status === 'live' && record !== undefined) continue;
    if (record === undefined) {
      ledger.warning('stray', object, 'it cannot be read as a lease: lifeboat unlock removes it');
    } else {
      ledger.warning(
        'stale',
        object,
        `${record.command} of ${record.user}@${record.host} (pid ${record.pid}) is ${status}: lifeboat unlock ` +
          'takes it away',
      );
    }
  }
}

/** Whoever can write to the repository can change the script: it must be the one that we would run. */
export async function checkRescue({ storage }: Repository, ledger: Ledger): Promise<void> {
  const ours = await rescueScript();
  const script = await storage.get('rescue/rescue.mjs').catch(ignoreAbsent);
  if (script === undefined) ledger.fault('missing', 'rescue/rescue.mjs', 'it is missing', []);
  else if (!script.equals(ours)) {
    ledger.warning(
      'differs',
      'rescue/rescue.mjs',
      'it is not the script of this version: of another version, or changed; compare its SHA-256 with the ' +
        'recovery sheet before running it',
    );
  }
  if ((await storage.get('rescue/README.md').catch(ignoreAbsent)) === undefined) {
    ledger.fault('missing', 'rescue/README.md', 'it is missing', []);
  }
}

function ignoreAbsent(error: unknown): undefined {
  if (!(error instanceof NotFoundError)) throw error;
}

function ignoreKey(error: unknown): undefined {
  if (!(error instanceof LifeboatError) || error.code !== 'key') throw error;
}
