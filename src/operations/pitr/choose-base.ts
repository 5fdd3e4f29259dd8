/**
 * Base backups as recoveries choose among them: those that count, whether one can serve a moment at all, and where its
 * cluster can be made.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { parseLsn } from '../../source/postgres/wal/lsn.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { findScratchPlace, type ScratchPlace } from '../../source/postgres/cluster/scratch-place.ts';
import { parseTime, type PitrTarget } from './moment.ts';

/** A backup with a base backup in it. */
export interface Candidate {
  readonly manifest: Manifest;
  /** Of the manifest. */
  readonly seal: string | undefined;
  readonly component: ManifestComponent;
}

/**
 * Those that count, newest first. Throws `usage` (2) if they are of several targets and none is named, `key` (12) if
 * none can be told to be genuine, `integrity` (14) if all there are were signed by nobody who is trusted.
 */
export async function baseBackups(repository: Repository, target: string | undefined): Promise<Candidate[]> {
  const found: Candidate[] = [];
  let unusable: LifeboatError | undefined;
  for await (const { manifest, trust, reason, seal } of repository.listManifests()) {
    const component = manifest?.components.find(({ kind }) => kind === 'base');
    if (manifest === undefined || component === undefined || (target !== undefined && manifest.target !== target)) {
      continue;
    }
    if (trust === 'sealed') found.push({ manifest, component, seal });
    else if (trust === 'unchecked') {
      unusable ??= new LifeboatError('key', `cannot tell whether base backup ${manifest.id} is genuine: ${reason}`, {
        state: 'nothing was changed',
        hint: 'configure the key of the repository',
      });
    } else if (trust === 'untrusted') {
      unusable ??= new LifeboatError('integrity', `base backup ${manifest.id} cannot be trusted: ${reason}`, {
        state: 'nothing was changed',
        hint:
          'if you know who wrote it, list its public key (lifeboat init prints it there) in encryption.trustedKeys ' +
          'or BACKUP_ENCRYPTION_TRUSTED_KEYS',
      });
    }
  }
  if (found.length === 0 && unusable !== undefined) throw unusable;
  const targets = [...new Set(found.map(({ manifest }) => manifest.target))];
  if (targets.length > 1) {
    throw new LifeboatError('usage', 'there are base backups of several targets', {
      hint: `choose one with --target: ${targets.join(', ')}`,
    });
  }
  return found;
}

/** What a recovery starts from rather: those of a damaged source only where no other serves, each part newest first. */
export function wholeFirst(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates.filter((each) => !isFlawed(each)), ...candidates.filter(isFlawed)];
}

/** What is to be proven: those of a damaged source only where there is no other. Newest first. */
export function wholeOnly(candidates: readonly Candidate[]): readonly Candidate[] {
  const whole = candidates.filter((each) => !isFlawed(each));
  return whole.length === 0 ? candidates : whole;
}

export function isFlawed({ component: { flaws = 0 } }: Pick<Candidate, 'component'>): boolean {
  return flaws > 0;
}

/** Why this base backup cannot serve, whatever WAL there is; undefined: it may. */
export function startsTooLate(facts: BaseFacts, target: PitrTarget): string | undefined {
  if (target.kind === 'time' && parseTime(facts.stoppedAt) > target.atUs) return `ends only at ${facts.stoppedAt}`;
  if (target.kind === 'lsn' && parseLsn(facts.stopLsn) > target.lsn) return `ends only at ${facts.stopLsn}`;
  if (target.kind === 'xid' && isOlderXid(target.xid, BigInt(facts.oldestXid))) return 'holds that transaction already';
  return undefined;
}

/** Programs of exactly the version of a base backup, and a place for its cluster. Throws `tool` (16). */
export async function placeFor(facts: BaseFacts): Promise<ScratchPlace> {
  const major = Math.floor(facts.serverVersionNum / 10000);
  const place = await findScratchPlace(major);
  if (Number.parseInt(place.version, 10) === major) return place;
  throw new LifeboatError(
    'tool',
    `a base backup of PostgreSQL ${facts.serverVersion} is recovered by version ${major} only; installed is ` +
      place.version,
    { state: 'nothing was changed', hint: `Debian, Ubuntu: apt-get install postgresql-${major}` },
  );
}

/** Transaction ids may be given with 32 bits, which come round. */
function isOlderXid(xid: bigint, oldest: bigint): boolean {
  if (xid >= 2n ** 32n) return xid < oldest;
  return BigInt.asUintN(32, xid - oldest) >= 2n ** 31n;
}
