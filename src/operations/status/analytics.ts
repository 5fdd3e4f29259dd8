/** How backups went in the last days, in numbers. Pure. */
import type { StatusAnalytics } from './request.ts';
import type { SurveyedTarget } from './survey-target.ts';

/** Of one target. What was deleted meanwhile is not in it; failures are those that this host knows of. */
export function analyse(
  { backups, runs }: Pick<SurveyedTarget, 'backups' | 'runs'>,
  nowMs: number,
  days: number,
): StatusAnalytics {
  const isRecent = ({ startedAt }: { readonly startedAt: string }): boolean =>
    nowMs - Date.parse(startedAt) <= days * 86_400_000;
  const recent = backups.filter(isRecent);
  const failures = runs.filter((run) => run.outcome === 'failed' && isRecent(run)).length;
  // Other hosts' backups are in the repository, their failures are not known here.
  const successes = Math.max(recent.length, runs.filter((run) => run.outcome === 'ok' && isRecent(run)).length);
  const readBytes = sum(backups.map((each) => each.readBytes));
  const storedBytes = sum(backups.map((each) => each.storedBytes));
  return {
    days,
    successes,
    failures,
    successRate: successes + failures === 0 ? undefined : successes / (successes + failures),
    averageReadBytes: average(recent.map((each) => each.readBytes)),
    averageStoredBytes: average(recent.map((each) => each.storedBytes)),
    averageDurationMs: average(recent.map((each) => each.durationMs)),
    backups: backups.length,
    readBytes,
    storedBytes,
    ratio: storedBytes === 0 ? undefined : Math.round((readBytes / storedBytes) * 100) / 100,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function average(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : Math.round(sum(values) / values.length);
}
