/**
 * Which backups can be had in an emergency: the newest that is whole, and why newer ones are not. Whole means sealed,
 * no failed check that still counts, and every object there with its size.
 */
import type { Config } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { flawOf } from '../../repository/manifests/flaws.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { safetyTag } from '../../repository/retention/backups.ts';
import { chooseBackup } from '../choose-backup.ts';
import type { ComponentName } from '../operation.ts';
import { proofStateOf } from '../proof/state.ts';
import { componentOf, kindOf } from '../component.ts';
import { validateRepository } from '../validate/validate.ts';

export interface EmergencyChoice {
  /** Undefined: the newest that is whole. */
  readonly id?: string | undefined;
  readonly target: string;
  /** Empty: all that are in the backup. */
  readonly only: readonly ComponentName[];
  readonly force: boolean;
}

export interface PassedOver {
  readonly id: string;
  readonly reason: string;
}

export interface ChosenForEmergency {
  readonly listed: ListedManifest;
  readonly manifest: Manifest;
  /** Newer ones that are not whole. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * Throws `not_found` where nothing fits, `integrity` for a named backup that is not whole, with the newest that is in
 * its hint.
 */
export async function chooseForEmergency(
  repository: Repository,
  config: Config,
  choice: EmergencyChoice,
  context: RunContext,
): Promise<ChosenForEmergency> {
  return choice.id === undefined || choice.id === 'latest'
    ? chooseNewest(repository, config, choice, context)
    : chooseNamed(repository, config, choice, choice.id, context);
}

async function chooseNewest(
  repository: Repository,
  config: Config,
  choice: EmergencyChoice,
  context: RunContext,
): Promise<ChosenForEmergency> {
  const { found, passedOver, areSealedFromUs } = await newestWhole(repository, config, choice, context);
  if (found?.manifest !== undefined) return { listed: found, manifest: found.manifest, passedOver };
  const why = passedOver
    .slice(0, 3)
    .map(({ id, reason }) => `${id}: ${reason}`)
    .join('; ');
  const { location } = repository.storage;
  throw areSealedFromUs ? noneOpens(choice, location, why) : noneWhole(choice, location, why);
}

function noneOpens(choice: EmergencyChoice, location: string, why: string): LifeboatError {
  return new LifeboatError('key', `no configured key opens any backup${ofTarget(choice)} in ${location} (${why})`, {
    state: 'nothing was changed',
    hint:
      'take the key, the passphrase or the age identity from the recovery sheet: BACKUP_ENCRYPTION_KEY, ' +
      'BACKUP_ENCRYPTION_PASSPHRASE or BACKUP_ENCRYPTION_IDENTITY',
  });
}

function noneWhole(choice: EmergencyChoice, location: string, why: string): LifeboatError {
  const reasons = why === '' ? '' : ` (${why})`;
  return new LifeboatError('not_found', `no whole backup${ofTarget(choice)} is in ${location}${reasons}`, {
    state: 'nothing was changed',
    hint: 'lifeboat list shows all; lifeboat export may still get parts out of a damaged one',
  });
}

async function chooseNamed(
  repository: Repository,
  config: Config,
  choice: EmergencyChoice,
  id: string,
  context: RunContext,
): Promise<ChosenForEmergency> {
  const { target, force } = choice;
  const { listed, manifest } = await chooseBackup(repository, { id, target, force }, context.emit);
  const problem = listed.trust === 'sealed' ? await whyNotWhole(repository, config, listed, context) : undefined;
  if (problem !== undefined && !force) {
    const { found } = await newestWhole(repository, config, choice, context);
    const run = `lifeboat emergency-restore restore ${found?.id}`;
    throw new LifeboatError('integrity', `backup ${listed.id} is not whole: ${problem}`, {
      state: 'nothing was changed',
      hint:
        found === undefined
          ? 'no other backup is whole; lifeboat export may still get parts out of it'
          : `the newest that is whole is of ${found.manifest?.startedAt}: ${run}`,
    });
  }
  if (problem !== undefined) {
    const message = `--force: backup ${listed.id} is used although it is not whole: ${problem}`;
    context.emit({ type: 'warning', message });
  }
  return { listed, manifest, passedOver: [] };
}

/** Says why a backup is not whole; undefined for one that is. */
export type JudgeWhole = (listed: ListedManifest) => Promise<string | undefined>;

/** Judges each backup once, however often it is asked for. */
export function judgeOnce(repository: Repository, config: Config, context: RunContext): JudgeWhole {
  const known = new Map<string, string | undefined>();
  return async (listed) => {
    if (!known.has(listed.id)) known.set(listed.id, await whyNotWhole(repository, config, listed, context));
    return known.get(listed.id);
  };
}

/**
 * `besides`: ids that are out of the question. Those of a damaged source count only if there is no other. Safety
 * backups hold what was wrong before a restore: they count only if there is nothing else.
 */
export async function newestWhole(
  repository: Repository,
  config: Config,
  { target, only }: Pick<EmergencyChoice, 'target' | 'only'>,
  context: RunContext,
  {
    besides = [],
    judge = judgeOnce(repository, config, context),
  }: { readonly besides?: readonly string[]; readonly judge?: JudgeWhole } = {},
): Promise<{
  readonly found: ListedManifest | undefined;
  readonly passedOver: readonly PassedOver[];
  readonly areSealedFromUs: boolean;
}> {
  const passedOver: PassedOver[] = [];
  const flawed: ListedManifest[] = [];
  const safety: ListedManifest[] = [];
  let unopened = 0;
  for await (const listed of repository.listManifests()) {
    context.signal.throwIfAborted();
    const { manifest, id } = listed;
    if ((manifest !== undefined && !isWanted(manifest, target, only)) || besides.includes(id)) continue;
    if (manifest?.tags?.includes(safetyTag) === true) {
      safety.push(listed);
      continue;
    }
    const reason = await judge(listed);
    const flaw = manifest === undefined ? undefined : flawOf(manifest, only.map(kindOf));
    if (reason === undefined && flaw !== undefined) {
      flawed.push(listed);
      passedOver.push({ id, reason: flaw });
      continue;
    }
    if (reason === undefined) return { found: listed, passedOver, areSealedFromUs: false };
    if (listed.trust === 'unchecked') unopened++;
    passedOver.push({ id, reason });
  }
  const [best] = flawed;
  if (best !== undefined) {
    const message = `only of a damaged source is there a backup that is whole otherwise: ${best.id}`;
    context.emit({ type: 'warning', message });
    return { found: best, passedOver: passedOver.filter(({ id }) => id !== best.id), areSealedFromUs: false };
  }
  for (const listed of safety) {
    if ((await judge(listed)) === undefined) return { found: listed, passedOver, areSealedFromUs: false };
  }
  return { found: undefined, passedOver, areSealedFromUs: unopened > 0 && unopened === passedOver.length };
}

function isWanted(manifest: Manifest, target: string, only: readonly ComponentName[]): boolean {
  const { type, components } = manifest;
  if (manifest.target !== target) return false;
  if (only.length === 0) return type === 'full' || components.length > 0;
  return only.every((name) => components.some(({ kind }) => componentOf(kind) === name));
}

/** One sentence; undefined for a backup that is whole as far as can be told without reading all of it. */
export async function whyNotWhole(
  repository: Repository,
  config: Config,
  listed: ListedManifest,
  context: RunContext,
): Promise<string | undefined> {
  if (listed.trust !== 'sealed') return listed.reason ?? 'its manifest cannot be trusted';
  const standing = await proofStateOf(repository, listed);
  if (standing?.failing === true) {
    return `its last check failed (${standing.lastFailure?.level} of ${standing.lastFailure?.at})`;
  }
  // What it finds is told here, once; it is no warning of this run.
  const quiet: RunContext = {
    ...context,
    emit: (event) => (event.type === 'warning' ? undefined : context.emit(event)),
  };
  const { damaged, backups } = await validateRepository(
    repository,
    { ids: [listed.id], all: false, level: 'quick' },
    config.jobs,
    quiet,
  );
  const [first, ...others] = damaged;
  if (first !== undefined) {
    return `${first.object}: ${first.problem}${others.length === 0 ? '' : `, and ${others.length} more objects`}`;
  }
  return backups[0]?.result === 'ok' ? undefined : 'no configured key opens it';
}

function ofTarget({ target, only }: EmergencyChoice): string {
  return ` of target ${target}${only.length === 0 ? '' : ` with ${only.join(', ')}`}`;
}
