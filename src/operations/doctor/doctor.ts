/**
 * Looks at everything that a backup or restore will rest on, and says what to do about each fault. All of it
 * side by side, each check with a time limit of its own; none hides another. Changes nothing but for a
 * trial object in the repository and a trial file in two folders, which it removes.
 */
import type { TargetConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf, exitCodeWarnings, LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { attempt, type ComponentFindings } from './check.ts';
import { checkFiles } from './files.ts';
import { checkHost } from './host.ts';
import { checkPlaces } from './places.ts';
import { checkPostgres } from './postgres.ts';
import { checkRedis } from './redis.ts';
import { checkRepository } from './repository.ts';
import type { Operation } from '../operation.ts';
import { repositoryNeeds } from '../complete.ts';
import type { DoctorRequest, DoctorResult } from './request.ts';

export const doctorOperation: Operation<DoctorRequest, DoctorRequest, DoctorResult> = {
  need: ({ target }) => ({ ...repositoryNeeds, targets: target === undefined ? 'all' : { name: target } }),
  complete: (options) => options,
  run: doctor,
  exitCode: ({ checks }) => {
    const failed = checks.find(({ ok }) => ok === 'fail');
    if (failed !== undefined) return exitCodeOf[failed.code ?? 'usage'];
    return checks.some(({ ok }) => ok === 'warn') ? exitCodeWarnings : 0;
  },
};

export async function doctor(loaded: LoadedConfig, request: DoctorRequest, context: RunContext): Promise<DoctorResult> {
  const targets = targetsOf(loaded, request.target);
  const [host, repository, components] = await Promise.all([
    checkHost(loaded, context),
    checkRepository(
      loaded,
      targets.map(({ name }) => name),
      context,
    ),
    Promise.all(targets.flatMap((target) => checkComponents(target, context))),
  ]);
  const places = await attempt('repository place', context, () =>
    checkPlaces(
      loaded,
      components.flatMap(({ folders }) => folders),
    ),
  );
  return { checks: [...host, ...components.flatMap(({ checks }) => checks), ...repository, ...places] };
}

function targetsOf({ config }: LoadedConfig, wanted: string | undefined): readonly TargetConfig[] {
  const all = [...config.targets.values()];
  if (wanted === undefined) return all;
  const target = config.targets.get(wanted);
  if (target === undefined) {
    throw new LifeboatError('usage', `there is no target ${wanted}`, {
      hint:
        all.length === 0
          ? 'none is configured: lifeboat init'
          : `configured: ${all.map(({ name }) => name).join(', ')}`,
    });
  }
  return [target];
}

function checkComponents(
  { name, postgres, redis, files }: TargetConfig,
  context: RunContext,
): Promise<ComponentFindings>[] {
  const checks: Promise<ComponentFindings>[] = [];
  if (postgres !== undefined) checks.push(checkPostgres(name, postgres, context));
  if (redis !== undefined) checks.push(checkRedis(name, redis, context));
  if (files !== undefined) checks.push(checkFiles(name, files, context));
  return checks;
}
