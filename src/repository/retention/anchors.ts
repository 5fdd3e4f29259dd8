/** What stays whatever the rules say: the newest and the newest proven backup of each component, and what is held. */
import { safetyTag, type Dated, type PolicyBackup, type PolicyComponent, type PolicyPart } from './backups.ts';

/**
 * What has rules, and is counted, by itself. A base backup follows the rules of the database, but neither does a dump
 * stand in for it nor it for a dump: only from the one is there a way to any moment, only the other is restored in
 * parts.
 */
export const judged: readonly {
  readonly name: string;
  readonly component: PolicyComponent;
  readonly isOf: (part: PolicyPart) => boolean;
}[] = [
  {
    name: 'database',
    component: 'database',
    isOf: ({ component, kind }) => component === 'database' && kind !== 'base',
  },
  { name: 'base', component: 'database', isOf: ({ kind }) => kind === 'base' },
  { name: 'redis', component: 'redis', isOf: ({ component }) => component === 'redis' },
  { name: 'files', component: 'files', isOf: ({ component }) => component === 'files' },
];

export interface Anchor {
  readonly backup: Dated;
  /** One phrase. */
  readonly reason: string;
}

/** Of the backups of `target` that have the component called `name`; oldest first. */
export function anchorsOf(target: string, name: string, having: readonly Dated[]): Anchor[] {
  const newest = having.findLast(isCounting) ?? having.at(-1);
  // What came later from a damaged source is the newest there is, until a better one takes its place.
  const flawed = having.slice(newest === undefined ? 0 : having.indexOf(newest) + 1).findLast((each) => each.flawed);
  const proven = having.findLast((each) => each.proven && !each.failing && !each.flawed);
  return [
    ...(newest === undefined ? [] : [{ backup: newest, reason: `newest ${name} backup of ${target}` }]),
    ...(flawed === undefined
      ? []
      : [{ backup: flawed, reason: `newest ${name} backup of ${target}, though of a damaged source` }]),
    ...(proven === undefined ? [] : [{ backup: proven, reason: `newest proven ${name} backup of ${target}` }]),
  ];
}

/** Whether it can stand in for others. */
export function isCounting({ future, failing, flawed, tags }: Dated): boolean {
  return !future && !failing && !flawed && !tags.includes(safetyTag);
}

/** What people said of it, or may have said. */
export function heldBy({ hold, unreadableNote }: Pick<PolicyBackup, 'hold' | 'unreadableNote'>): string[] {
  return [
    ...(hold === undefined ? [] : [hold === '' ? 'on hold' : `on hold: ${hold}`]),
    ...(unreadableNote ? ['it has a note that cannot be read: it may be on hold'] : []),
  ];
}
