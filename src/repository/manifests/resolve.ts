/**
 * From what an operator types to one backup: a full id, a unique prefix, `latest`, `latest~1`, `latest:proven`. Always
 * within the target.
 */
import { LifeboatError } from '../../lib/errors.ts';
import { isDenied, type Storage } from '../../storage/storage.ts';
import { everStored } from '../earlier-versions.ts';
import { isBackupId, nearestIds, seemsToBe } from './ids.ts';
import { listManifests, type ListedManifest, type ManifestHome } from './listing.ts';
import { flawOf } from './flaws.ts';
import { safetyTag } from '../retention/backups.ts';

export interface ResolveOptions {
  /** Only backups of this target; undefined: of any. */
  readonly target?: string | undefined;
  /** For `latest:proven`: whether a backup has good evidence. */
  readonly isProven?: (backup: ListedManifest) => Promise<boolean>;
  /** For `latest…`: only backups that hold all of these kinds of components. */
  readonly kinds?: readonly string[] | undefined;
}

export interface ResolvedBackup {
  readonly backup: ListedManifest;
  /** The full id was given: what `--force` asks for. */
  readonly byFullId: boolean;
  /** For `latest…`: newer backups of the target that do not count, each with its reason. */
  readonly passedOver: readonly ListedManifest[];
}

/**
 * Finds one backup. `latest…` counts sealed ones, and damaged ones, so that what is the newest is never passed over
 * because it is damaged (`latest:proven` is the newest that a drill has proven). One of a damaged source is passed
 * over, and told of. It, an id and a prefix find backups that are not sealed too, and the caller decides by `trust`.
 * Throws LifeboatError `not_found` with the nearest ids,
 * `usage` for an ambiguous prefix, `key` when `latest` cannot be told without a key.
 */
export async function resolveBackup(
  home: ManifestHome,
  text: string,
  options: ResolveOptions = {},
): Promise<ResolvedBackup> {
  const latest = /^latest(?:~(\d{1,6})|(:proven))?$/.exec(text);
  if (latest === null) return resolvePrefix(home, text, options.target);
  const { isProven = unavailable, ...others } = options;
  return resolveLatest(home, text, Number(latest[1] ?? 0), latest[2] === undefined ? others : { ...others, isProven });
}

async function resolveLatest(
  home: ManifestHome,
  text: string,
  back: number,
  { target, isProven, kinds = [] }: ResolveOptions,
): Promise<ResolvedBackup> {
  const passedOver: ListedManifest[] = [];
  let found = 0;
  for await (const backup of listManifests(home)) {
    if (backup.manifest !== undefined && target !== undefined && backup.manifest.target !== target) continue;
    // What a restore has saved before it replaced it: who restores again wants the good state, not the bad one.
    if (backup.manifest?.tags?.includes(safetyTag) === true) continue;
    if (
      backup.manifest !== undefined &&
      !kinds.every((kind) => backup.manifest?.components.some((component) => component.kind === kind))
    ) {
      continue;
    }
    if (backup.trust === 'damaged' && isProven === undefined && isBackupId(backup.id)) {
      if (!seemsToBe(backup.id, target, kinds)) continue;
      if (found++ === back) return { backup, byFullId: false, passedOver };
    } else if (backup.trust !== 'sealed') passedOver.push(backup);
    else if (backup.manifest !== undefined && flawOf(backup.manifest, kinds) !== undefined) {
      passedOver.push({ ...backup, reason: flawOf(backup.manifest, kinds) });
    } else if (isProven !== undefined && !(await isProven(backup))) continue;
    else if (found++ === back) return { backup, byFullId: false, passedOver };
  }
  throw noneThatCounts(home, text, { target, kinds }, found, passedOver);
}

function noneThatCounts(
  home: ManifestHome,
  text: string,
  { target, kinds = [] }: Pick<ResolveOptions, 'target' | 'kinds'>,
  found: number,
  passedOver: readonly ListedManifest[],
): LifeboatError {
  const unchecked = passedOver.find(({ trust }) => trust === 'unchecked');
  if (found === 0 && unchecked !== undefined) {
    return new LifeboatError('key', `cannot tell which backup is ${text}: ${unchecked.reason}`, {
      hint: 'configure the key, or give the full id',
    });
  }
  const bad =
    passedOver.length === 0
      ? ''
      : ` (${passedOver.length} that cannot be trusted, or whose source was damaged: ${passedOver
          .map(({ id }) => id)
          .slice(0, 3)
          .join(', ')})`;
  return new LifeboatError(
    'not_found',
    `there is no backup ${text}${ofTarget(target)} in ${home.storage.location}: it has ${found} that ` +
      `count${kinds.length === 0 ? '' : ` and hold ${kinds.join(', ')}`}${bad}`,
    { hint: 'lifeboat list shows what is there' },
  );
}

async function resolvePrefix(home: ManifestHome, text: string, target: string | undefined): Promise<ResolvedBackup> {
  const found: ListedManifest[] = [];
  if (/^[0-9A-Za-z-]+$/.test(text)) {
    for await (const backup of listManifests(home, { idPrefix: text })) found.push(backup);
  }
  const exact = found.find(({ id }) => id === text);
  const fitting = exact === undefined ? found.filter((backup) => isOfTarget(backup, target)) : [exact];
  const [backup, other] = fitting;
  if (backup === undefined) throw await unknownBackup(home, text, target);
  if (other !== undefined) {
    throw new LifeboatError(
      'usage',
      `"${text}" begins the ids of ${fitting.length} backups: ${fitting
        .slice(0, 5)
        .map(({ id }) => id)
        .join(', ')}${fitting.length > 5 ? ', …' : ''}`,
      { hint: 'give more of the id' },
    );
  }
  if (!isOfTarget(backup, target)) {
    throw new LifeboatError(
      'not_found',
      `backup ${text} is one of target ${backup.manifest?.target}, not of ${target}`,
      { hint: `add --target ${backup.manifest?.target}` },
    );
  }
  return { backup, byFullId: exact !== undefined, passedOver: [] };
}

function isOfTarget({ manifest }: ListedManifest, target: string | undefined): boolean {
  return target === undefined || manifest === undefined || manifest.target === target;
}

async function unknownBackup(home: ManifestHome, text: string, target: string | undefined): Promise<LifeboatError> {
  const ids: string[] = [];
  for await (const backup of listManifests(home)) if (isOfTarget(backup, target)) ids.push(backup.id);
  const nearest = nearestIds(text, ids);
  return new LifeboatError('not_found', `there is no backup "${text}"${ofTarget(target)} in ${home.storage.location}`, {
    hint: await hintFor(home, text, nearest),
    facts: { nearest },
  });
}

async function hintFor({ storage }: ManifestHome, text: string, nearest: readonly string[]): Promise<string> {
  const away = await idsAway(storage);
  const id = away.find((each) => text !== '' && each.startsWith(text));
  if (id !== undefined) return `it is in trash, or somebody hid it: lifeboat undelete ${id}`;
  if (nearest.length > 0) return `nearest: ${nearest.join(', ')}`;
  if (away.length > 0) return 'what was there is in trash, or somebody hid it: lifeboat status tells';
  return 'the repository holds no backup yet: lifeboat backup';
}

/** Backups in trash, and those of which only an earlier version is there; as far as these credentials may look. */
async function idsAway(storage: Storage): Promise<string[]> {
  const there = new Set<string>();
  const ids = new Set<string>();
  for await (const { key } of storage.list('manifests/')) there.add(key);
  for await (const { key } of everStored(storage, 'manifests/')) if (!there.has(key)) ids.add(key);
  try {
    for await (const { key } of storage.list('trash/')) ids.add(key);
  } catch (error) {
    if (!isDenied(error)) throw error;
  }
  return [...ids].flatMap((key) => /^(?:manifests|trash)\/(.+)\.json$/.exec(key)?.[1] ?? []).filter(isBackupId);
}

function ofTarget(target: string | undefined): string {
  return target === undefined ? '' : ` of target ${target}`;
}

async function unavailable(): Promise<boolean> {
  throw new LifeboatError('usage', 'latest:proven cannot be used here', { hint: 'give an id, or latest' });
}
