/**
 * Puts what calls the schedules in place, and takes it out again: what is there is compared with what is to be, the
 * difference is shown and asked about, and only what bears our mark is touched. It may be repeated.
 */
import { join } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { addState, LifeboatError } from '../../lib/errors.ts';
import { lineDiff } from '../../lib/line-diff.ts';
import type { Operation } from '../operation.ts';
import { CrontabPlace } from './install-crontab.ts';
import { FolderPlace } from './install-folder.ts';
import type { Place, PlacedChange } from './install-place.ts';
import { Timers } from './install-timers.ts';
import { printUnits } from './print.ts';
import type { PrintedFile, ScheduleInstallOptions, ScheduleInstallRequest, ScheduleInstallResult } from './request.ts';
import type { UnitScope } from './unit.ts';

export const scheduleInstallOperation: Operation<
  ScheduleInstallOptions,
  ScheduleInstallRequest,
  ScheduleInstallResult
> = {
  need: () => ({}),
  complete: ({ remove = false, dryRun = false, ...options }, { confirm }) => ({ ...options, remove, dryRun, confirm }),
  run: installSchedules,
};

async function installSchedules(loaded: LoadedConfig, request: ScheduleInstallRequest): Promise<ScheduleInstallResult> {
  const { kind, dryRun, remove, root } = request;
  const scope: UnitScope = root !== undefined || process.geteuid?.() === 0 ? 'system' : 'user';
  const { files, warnings } = await unitsOf(loaded, request, scope);
  const place = placeOf(loaded.file ?? '', request, scope);
  const changes = await place.plan(files);
  const shown = changes.map(({ path, before, after }) => ({
    path,
    change:
      before === undefined ? ('added' as const) : after === undefined ? ('removed' as const) : ('changed' as const),
    diff: lineDiff(before ?? '', after ?? ''),
  }));
  if (dryRun) return { kind, scope, remove, dryRun, changes: shown, warnings };
  if (changes.length > 0) {
    await request.confirm({
      name: 'yes',
      flag: '--yes',
      consequences: shown.map(({ path, change }) => `${path} will be ${change}`),
      details: shown.flatMap(({ path, diff }) => [`${path}:`, ...diff]),
    });
  }
  const told = await apply(place, changes, files, request, scope);
  return { kind, scope, remove, dryRun, changes: shown, warnings: [...warnings, ...told] };
}

async function unitsOf(
  loaded: LoadedConfig,
  { kind, remove, program, envFile }: ScheduleInstallRequest,
  scope: UnitScope,
): Promise<{ readonly files: readonly PrintedFile[]; readonly warnings: readonly string[] }> {
  const { files, warnings } = await printUnits(loaded, { kind, program, envFile, scope });
  return remove ? { files: [], warnings: [] } : { files, warnings };
}

function placeOf(file: string, { kind, root = '/', userFolder }: ScheduleInstallRequest, scope: UnitScope): Place {
  const isOurs = root !== '/';
  const system = join(root, 'etc/systemd/system');
  if (kind === 'cron') {
    if (scope === 'user') return new CrontabPlace(file);
    return new FolderPlace({ path: join(root, 'etc/cron.d'), isOurs, of: 'cron' }, file);
  }
  if (scope === 'system') return new FolderPlace({ path: system, isOurs, of: 'systemd' }, file);
  if (userFolder !== undefined) {
    return new FolderPlace({ path: join(userFolder, 'systemd/user'), isOurs: true, of: 'systemd' }, file);
  }
  throw new LifeboatError('usage', 'cannot install schedules: this user has no home', {
    state: 'nothing was changed',
    hint: 'set HOME, or run it as root',
  });
}

async function apply(
  place: Place,
  changes: readonly PlacedChange[],
  files: readonly PrintedFile[],
  { kind, root, userFolder }: ScheduleInstallRequest,
  scope: UnitScope,
): Promise<string[]> {
  const timers = kind === 'systemd' ? new Timers({ scope, root, userFolder }) : undefined;
  const isTimer = (name: string): boolean => name.endsWith('.timer');
  const changed = changes.map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
  try {
    await timers?.disable(changed.filter((name, index) => isTimer(name) && changes[index]?.after === undefined));
    for (const change of changes) await place.apply(change);
    if (changes.length > 0) await timers?.reload();
    const names = files.map(({ name }) => name).filter(isTimer);
    return (
      (await timers?.enable(
        names,
        names.filter((name) => changed.includes(name)),
      )) ?? []
    );
  } catch (error) {
    throw addState(error, 'a part of it may be done; it can be run again');
  }
}
