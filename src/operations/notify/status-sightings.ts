/** What status finds, as incidents: raised when it is seen first, cleared when it is no more. Pure. */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { Incident, Sighting } from './incidents.ts';

/** A reason of a verdict, as far as it matters here. */
export interface FoundReason {
  readonly id: string;
  readonly weight: 'degraded' | 'unhealthy';
  readonly target?: string | undefined;
  readonly message: string;
  readonly next: string;
  readonly acknowledged?: object | undefined;
}

/** `target`: only that one was looked at. What was acknowledged is not told, but is not over either. */
export function sightingsOfStatus(reasons: readonly FoundReason[], target: string | undefined): Sighting[] {
  const told = reasons.filter(({ id }) => !isToldByRuns(id));
  const present = new Set(told.map(({ id }) => keyOfReason(id)));
  const isOver = (incident: Incident): boolean =>
    incident.key.startsWith(keyStart) &&
    !present.has(incident.key) &&
    (target === undefined || incident.target === target);
  return [
    { kind: 'over', isOver: ({ key }) => key === lookKey, draftOf: () => wellDraft },
    { kind: 'over', isOver, draftOf: clearedDraft },
    ...told.filter(({ acknowledged }) => acknowledged === undefined).map(raised),
  ];
}

/** Status could not look at all. */
export function sightingOfBlindness(error: unknown): Sighting {
  const known = error instanceof LifeboatError ? error : undefined;
  return {
    kind: 'wrong',
    key: lookKey,
    parts: [],
    draft: {
      event: 'status.failed',
      outcome: 'failure',
      severity: 'critical',
      command: 'status',
      title: known?.code === 'storage' ? 'the repository cannot be reached' : 'the repository cannot be looked at',
      text: messageOf(error),
      next: known?.hint ?? 'lifeboat doctor',
      ...(known === undefined ? {} : { code: known.code, exitCode: known.exitCode }),
    },
  };
}

const keyStart = 'status:';
const lookKey = 'look:failed';

/** The same for as long as it is the same matter: without moments and shares, which change from look to look. */
export function keyOfReason(id: string): string {
  const stable = id
    .replace(/:\d{4}-\d\d-\d\dT.*$/, '')
    .replace(/^(storage|budget):\d+$/, '$1')
    .replace(/^(proof-old:[^:]*):.*$/, '$1')
    // One odd backup after the other is one matter.
    .replace(/^(size|duration):\d{8}T\d{6}Z-(.*)-[0-9a-f]{8}$/, '$1:$2');
  return keyStart + stable;
}

/** The run that failed has told of itself. */
function isToldByRuns(id: string): boolean {
  return id.startsWith('last-run:');
}

function raised({ id, weight, target, message, next }: FoundReason): Sighting {
  return {
    kind: 'wrong',
    key: keyOfReason(id),
    parts: [],
    draft: {
      event: `status.${kindOf(id)}.raised`,
      outcome: 'failure',
      severity: weight === 'unhealthy' ? 'critical' : 'warning',
      ...(target === undefined ? {} : { target }),
      command: 'status',
      title: `${weight}${target === undefined ? '' : ` (${target})`}: ${message}`,
      text: message,
      next,
    },
  };
}

function clearedDraft({ key, title, since }: Incident): { event: string; title: string; text: string } {
  return {
    event: `status.${kindOf(key.slice(keyStart.length))}.cleared`,
    title: `no more: ${title}`,
    text: `status does not find it any more; it did since ${since}`,
  };
}

const wellDraft = {
  event: 'status.recovered',
  title: 'the repository can be looked at again',
  text: 'status has found out how backups are doing',
};

function kindOf(id: string): string {
  return id.split(':')[0] ?? id;
}
