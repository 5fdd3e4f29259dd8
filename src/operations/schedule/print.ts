/**
 * Schedules as what calls them: lines for cron, units for systemd, a CronJob for Kubernetes. Each calls `schedule run
 * <id> --slot`, and the slots decide what is due. So cron and systemd call each quarter of an hour, at the minutes that
 * the schedule names: clocks and time zones differ by quarters of an hour, so that one of these calls is always exactly
 * on time, whatever zone the caller goes by (Debian's cron knows none but the host's, and runs a moment of the hour
 * that is skipped too early); and what was missed, or has failed for a while, is caught up with a quarter later.
 */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { parseCron } from '../../lib/cron.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { checkScheduleId } from '../../repository/slots/names.ts';
import type { PrintedFile, SchedulePrintResult } from './request.ts';
import type { Unit, UnitScope } from './unit.ts';

export type UnitKind = 'cron' | 'systemd' | 'kubernetes';

export interface PrintOptions {
  readonly kind: UnitKind;
  /** Absolute path of the program. */
  readonly program: string;
  /** --env-file, absolute; undefined: what the configuration says. */
  readonly envFile?: string | undefined;
  /** Only this one. */
  readonly id?: string | undefined;
  /** Of the container. */
  readonly image?: string | undefined;
  /** Who is to call, where they are put in place; undefined: an operator puts them where they are wanted. */
  readonly scope?: UnitScope | undefined;
}

/** Throws LifeboatError `usage` where the configuration is in no file: who calls later knows no environment of ours. */
export async function printUnits(loaded: LoadedConfig, options: PrintOptions): Promise<SchedulePrintResult> {
  const { config, file } = loaded;
  if (file === undefined) {
    throw new LifeboatError('usage', 'cannot print units: no configuration file was read, only the environment', {
      hint: 'cron and systemd know neither your shell nor its variables; write a file: lifeboat init',
    });
  }
  const warnings = options.kind === 'kubernetes' ? [] : variablesOfThisShell(loaded);
  const wanted = config.schedules.filter(({ id }) => options.id === undefined || id === options.id);
  const units = wanted.flatMap((schedule) => unitOf(schedule, file, options, warnings) ?? []);
  return { kind: options.kind, files: units.length === 0 ? [] : await render(units, options), warnings };
}

/** Pods get a secret of variables (print-kubernetes.ts); cron and systemd give none of ours. */
function variablesOfThisShell({ origins }: LoadedConfig): string[] {
  const names = [...new Set(origins.values())].filter((origin) => /^[A-Z][A-Z0-9_]*$/.test(origin));
  if (names.length === 0) return [];
  const what = `${names.toSorted().join(', ')} stand in this environment only, which cron and systemd do not have`;
  return [`${what}: write them into the configuration, or into a file (envFile, --env-file)`];
}

function unitOf(
  schedule: Schedule,
  file: string,
  { program, envFile }: PrintOptions,
  warnings: string[],
): Unit | undefined {
  const { id, cronExpression, enabled } = schedule;
  const cron = parseCron(cronExpression);
  const why = !enabled ? 'it is switched off' : cron === undefined ? 'no clock tells @reboot' : whyNoSlots(id);
  if (why !== undefined || cron === undefined) {
    warnings.push(`schedule ${id} is left out: ${why}`);
    return undefined;
  }
  const env = envFile === undefined ? [] : ['--env-file', envFile];
  const argv = [program, 'schedule', 'run', id, '--slot', '--quiet', '--config', file, ...env];
  return { schedule, cron, argv };
}

function whyNoSlots(id: string): string | undefined {
  try {
    checkScheduleId(id);
    return undefined;
  } catch (error) {
    if (error instanceof LifeboatError) return error.message;
    throw error;
  }
}

/** Only what is asked for is loaded. */
async function render(
  units: readonly Unit[],
  { kind, image = 'lifeboat:latest', scope }: PrintOptions,
): Promise<PrintedFile[]> {
  switch (kind) {
    case 'cron':
      return (await import('./print-cron.ts')).cronFiles(units, scope);
    case 'systemd':
      return (await import('./print-systemd.ts')).systemdFiles(units, scope);
    case 'kubernetes':
      return (await import('./print-kubernetes.ts')).kubernetesFiles(units, image);
  }
}
