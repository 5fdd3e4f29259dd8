/** Which base backups a file of log matters to. */
import type { WalName } from '../../../repository/wal/names.ts';
import { segmentNumber } from '../../../source/postgres/wal/file-name.ts';
import { isOfBase, segmentsOfBase } from '../base-segments.ts';
import type { KnownBase } from '../bases.ts';
import type { LogFault } from './request.ts';

/** `bases`: of its cluster. Which ones it belongs to, and whether any other could replay it. */
export function usersOf(
  bases: readonly KnownBase[],
  { timeline, segment }: Pick<WalName, 'timeline' | 'segment'>,
): Pick<LogFault, 'backups' | 'isIdle'> {
  if (segment === undefined) return { backups: [], isIdle: bases.length === 0 };
  return {
    backups: bases.filter(({ facts }) => isOfBase(facts, { timeline, segment })).map(({ id }) => id),
    isIdle: bases.every(({ facts }) => segmentNumber(segment, facts.walSegmentBytes) < segmentsOfBase(facts).first),
  };
}
