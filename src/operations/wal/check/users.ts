/** Which base backups a file of log matters to. */
import type { WalName } from '../../../repository/wal/names.ts';
import { segmentNumber } from '../../../source/postgres/wal/file-name.ts';
import { segmentsOfBase } from '../base-segments.ts';
import type { KnownBase } from '../bases.ts';
import type { LogFault } from './request.ts';

/** `bases`: of its cluster. Which ones it belongs to, and whether any other could replay it. */
export function usersOf(
  bases: readonly KnownBase[],
  { timeline, segment }: Pick<WalName, 'timeline' | 'segment'>,
): Pick<LogFault, 'backups' | 'isIdle'> {
  if (segment === undefined) return { backups: [], isIdle: bases.length === 0 };
  const placed = bases.map(({ id, facts }) => ({
    id,
    facts,
    ...segmentsOfBase(facts),
    number: segmentNumber(segment, facts.walSegmentBytes),
  }));
  return {
    backups: placed
      .filter(({ facts, first, last, number }) => facts.timeline === timeline && first <= number && number <= last)
      .map(({ id }) => id),
    isIdle: placed.every(({ first, number }) => number < first),
  };
}
