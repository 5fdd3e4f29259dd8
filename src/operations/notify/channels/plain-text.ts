/** A notice as a few lines for people. */
import type { Notice } from '../notice.ts';

const marks = { failure: { info: 'ℹ️', warning: '⚠️', critical: '🔴' }, recovery: '✅', success: '✅' } as const;

/** What stands before a title where pictures are read sooner than words. */
export function markOf({ outcome, severity }: Notice): string {
  return outcome === 'failure' ? marks.failure[severity] : marks[outcome];
}

/** All but the title; where, what, since when, and what to do. */
export function linesOf({ text, next, host, at, incident, backup, exitCode }: Notice): string[] {
  return [
    ...text.split('\n'),
    ...(next === undefined ? [] : [`Next: ${next}`]),
    ...(backup === undefined ? [] : [`Backup: ${backup}`]),
    ...(exitCode === undefined || exitCode === 0 ? [] : [`Exit code: ${exitCode}`]),
    ...(incident === undefined ? [] : [`Incident: ${incident.key}, since ${incident.since}, seen ${incident.count} ×`]),
    `${host}, ${at}`,
  ];
}

/** At most so many characters; what is cut ends with …. */
export function shortened(text: string, mostCharacters: number): string {
  return text.length <= mostCharacters ? text : `${[...text].slice(0, mostCharacters - 1).join('')}…`;
}
