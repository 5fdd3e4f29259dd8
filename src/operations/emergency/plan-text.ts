/**
 * The plan of an emergency restore in sentences, for somebody who reads them at three in the morning: every number with
 * its unit, the worst first told plainly.
 */
import { formatDuration } from '../../lib/time.ts';
import { formatBytes } from '../../lib/units.ts';
import type { LiveComponent } from './live.ts';
import type { EmergencyPlan } from './plan.ts';

export function planLines(plan: EmergencyPlan): string[] {
  const ageMs = Date.parse(plan.createdAt) - Date.parse(plan.takenAt);
  const proven =
    plan.provenAt === undefined
      ? `never proven by a restore (${plan.state ?? 'state unknown'})`
      : `proven by a restore on ${plan.provenAt}`;
  const saved = plan.steps.some(({ name }) => name === 'safety-backup')
    ? ' (a backup of it is taken first)'
    : ' (NO backup of it is taken first)';
  return [
    `backup ${plan.id} of target ${plan.target}, taken ${plan.takenAt}, ${formatDuration(ageMs)} ago, ${proven}`,
    ...plan.passedOver.map(({ id, reason }) => `newer, but not whole: ${id}: ${reason}`),
    ...plan.mismatches.map((mismatch) => `THIS MAY BE THE WRONG PLACE: ${mismatch}`),
    ...plan.live.map((live) => `${live.component} now: ${live.where} ${holdings(live)}`),
    ...(plan.losses.length === 0
      ? ['would be lost: nothing, since nothing live is replaced']
      : plan.losses.map((loss) => `would be lost: ${loss}${saved}`)),
    ...plan.needs.map(
      ({ component, neededBytes, freeBytes }) =>
        `${component} needs about ${formatBytes(neededBytes)} beside what is there; ` +
        (freeBytes === undefined
          ? 'how much is free there cannot be seen from here'
          : `${formatBytes(freeBytes)} are free`),
    ),
    timeLine(plan),
    ...plan.steps.map(({ title }, index) => `step ${index + 1} of ${plan.steps.length}: ${title}`),
  ];
}

function holdings({ hasData, holds, bytes, lastWriteAt }: LiveComponent): string {
  if (!hasData) return `holds ${holds}`;
  const size = bytes === undefined ? '' : ` (${formatBytes(bytes)})`;
  const written = lastWriteAt === undefined ? '' : `, last written to ${lastWriteAt}`;
  return `holds ${holds}${size}${written}`;
}

function timeLine({ id, expectedMs, measured, steps }: EmergencyPlan): string {
  if (expectedMs === undefined || measured === undefined) {
    return 'takes: unknown, no restore of this target was ever measured (lifeboat integrity measures one)';
  }
  const basis =
    measured.id === id
      ? `a restore of all of this backup took ${formatDuration(measured.ms)} on ${measured.at}`
      : `reckoned by size: a restore of ${measured.id} took ${formatDuration(measured.ms)} on ${measured.at}`;
  const others = [
    ...(steps.some(({ name }) => name === 'safety-backup') ? ['the safety backup'] : []),
    ...(steps.some(({ name }) => name.endsWith('-services')) ? ['the services'] : []),
  ];
  const more = others.length === 0 ? '' : `; ${others.join(' and ')} come on top`;
  return `takes about ${formatDuration(expectedMs)} (${basis})${more}`;
}
