/** What `lifeboat doctor` checks of the backups: that the configured key opens the newest one, and how old it is. */
import type { RunContext } from '../../lib/events.ts';
import { formatDuration } from '../../lib/time.ts';
import { readFacts } from '../../repository/backups/facts.ts';
import { canDecrypt, hasSymmetricKey, type KeyMaterial } from '../../repository/keys/material.ts';
import { findVanished, vanishedText } from '../../repository/deletion/vanished.ts';
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { attempt, failed, passed, warned } from './check.ts';
import type { DoctorCheck } from './request.ts';

export interface NewestBackups {
  /** The newest of each target whose manifest can be read. */
  readonly byTarget: ReadonlyMap<string, ListedManifest>;
  /** Newer than the last of those, or all that were looked at. */
  readonly damaged: readonly ListedManifest[];
}

/** A target without a backup among the newest of this many has none worth the name. */
const manifestsLookedAt = 1000;
/** Longer than two nights in a row without one. */
const oldMs = 50 * 3_600_000;

export async function findNewest(repository: Repository, targets: readonly string[]): Promise<NewestBackups> {
  const byTarget = new Map<string, ListedManifest>();
  const damaged: ListedManifest[] = [];
  let seen = 0;
  for await (const listed of repository.listManifests()) {
    const { manifest } = listed;
    if (manifest === undefined) damaged.push(listed);
    else if (targets.includes(manifest.target) && !byTarget.has(manifest.target)) byTarget.set(manifest.target, listed);
    if (byTarget.size === targets.length || ++seen === manifestsLookedAt) break;
  }
  return { byTarget, damaged };
}

export async function checkBackups(
  repository: Repository,
  newest: Promise<NewestBackups>,
  targets: readonly string[],
  context: RunContext,
): Promise<readonly DoctorCheck[]> {
  const all = await Promise.all([
    attempt('key', context, () => checkKey(repository)),
    attempt('manifests', context, async () => checkManifests((await newest).damaged)),
    ...targets.map(async (target) =>
      attempt(`${target}: newest backup`, context, async () => {
        const found = await newest.catch(() => undefined);
        return found === undefined
          ? []
          : checkNewest(`${target}: newest backup`, repository, target, found.byTarget.get(target));
      }),
    ),
  ]);
  return all.flat();
}

/** The key to write with. A host with public recipients only would make a data key when asked for one: not here. */
async function checkKey(repository: Repository): Promise<DoctorCheck | DoctorCheck[]> {
  const { keyring } = repository;
  if (keyring === undefined) return [];
  if (!hasSymmetricKey(keyring.material)) {
    return passed('key', describeRecipients(keyring.material));
  }
  const { dataKey } = await keyring.writeKey();
  return passed('key', `opens the newest data key, ${dataKey.id.toString('hex')}`);
}

function describeRecipients(material: KeyMaterial): string {
  const { length } = material.recipients;
  if (length === 0) return 'this host reads and cannot write: it has an identity, but no recipient';
  const reads = canDecrypt(material) ? '' : '; this host cannot read them';
  return `backups are written for ${length} public recipients${reads}`;
}

function checkManifests(damaged: readonly ListedManifest[]): DoctorCheck[] {
  return damaged.slice(0, 5).map(({ id, reason = 'its manifest is damaged' }) => {
    const message = `backup ${id} cannot be used: ${reason}`;
    return failed('manifests', message, 'lifeboat list shows the others', 'integrity');
  });
}

async function checkNewest(
  name: string,
  repository: Repository,
  target: string,
  listed: ListedManifest | undefined,
): Promise<DoctorCheck> {
  const [lost, ...others] = await findVanished(repository, target);
  if (lost !== undefined) {
    const hint = 'find out who did that; if it was intended: lifeboat status names what to acknowledge';
    return failed(name, vanishedText(target, lost, others.length), hint, 'integrity');
  }
  const seen = listed?.manifest === undefined ? await repository.seen.newest(target) : undefined;
  if (seen !== undefined) {
    const message = `this host remembers a newer one, ${seen.id}; none that is there can be used`;
    return failed(name, message, 'find out what became of it: lifeboat status', 'integrity');
  }
  if (listed?.manifest === undefined) {
    return warned(name, `there is no backup of target ${target} yet`, `lifeboat backup${targetFlag(target)}`);
  }
  const unusable = judgeTrust(name, repository, listed, listed.manifest);
  if (unusable !== undefined) return unusable;
  const { id, manifest } = listed;
  await readFacts(repository, manifest);
  const opens = repository.encryption === 'none' ? '' : ', opens with the configured key';
  const message = `${id}, ${ageOf(manifest)} old${opens}`;
  const flaw = flawOf(manifest);
  if (flaw !== undefined) {
    return warned(
      name,
      `${id} is of a damaged source: ${flaw}`,
      `look at the disk; what is damaged: lifeboat show ${id}`,
    );
  }
  if (Date.now() - Date.parse(manifest.finishedAt) < oldMs) return passed(name, message);
  const hint = `is it scheduled, and does it succeed? Take one now: lifeboat backup${targetFlag(target)}`;
  return warned(name, message, hint);
}

/** Of a backup that cannot be read, or does not count. Undefined: it can, and does. */
function judgeTrust(
  name: string,
  repository: Repository,
  { id, trust, reason }: ListedManifest,
  manifest: Manifest,
): DoctorCheck | undefined {
  if (trust === 'untrusted') {
    const hint = 'if you know who wrote it, list its key in encryption.trustedKeys';
    return warned(name, `${id} does not count: ${reason}`, hint);
  }
  if (trust !== 'unchecked') return undefined;
  if (!repository.canRead) {
    return passed(name, `${id}, ${ageOf(manifest)} old; this host has no key to read it`);
  }
  return failed(
    name,
    `${id} cannot be opened: ${reason}`,
    'configure the key that is on the recovery sheet of this repository; without it this backup is lost',
    'key',
  );
}

function ageOf({ finishedAt }: Manifest): string {
  return formatDuration(Math.max(0, Date.now() - Date.parse(finishedAt)));
}

function targetFlag(target: string): string {
  return target === 'main' ? '' : ` --target ${target}`;
}
