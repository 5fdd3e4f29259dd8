/**
 * What of a cluster's log is not there although it should be: gaps, histories, what base backups cannot do without, and
 * what this host knows to be damaged.
 */
import { counted } from '../../../lib/units.ts';
import { needWalName, parseWalKey, walKey } from '../../../repository/wal/names.ts';
import type { Repository } from '../../../repository/repository.ts';
import { segmentName, segmentNumber } from '../../../source/postgres/wal/file-name.ts';
import { segmentsOfBase } from '../base-segments.ts';
import type { KnownBase } from '../bases.ts';
import { holdsWhole, type HeldLog } from '../gaps.ts';
import { surveySystem } from '../survey.ts';
import type { LogFault } from './request.ts';
import { usersOf } from './users.ts';

/** `bases`: of that cluster. An object that is known to be damaged counts as missing, and is told first. */
export async function missingLog(
  repository: Repository,
  systemId: string,
  bases: readonly KnownBase[],
): Promise<LogFault[]> {
  const { system, log } = await surveySystem(repository, systemId);
  const keyOf = (name: string): string => walKey(systemId, needWalName(name));
  const firstNeeded = bases.map(({ facts }) => segmentsOfBase(facts).first).reduce(smaller, undefined);
  const ofBases = bases.flatMap((base) => missingOf(base, log, keyOf));
  const gaps = system.gaps.map(({ first, last, segments }): LogFault => {
    const isIdle =
      firstNeeded === undefined || (log !== undefined && segmentNumber(last, log.segmentBytes) < firstNeeded);
    const problem = `it is missing: ${counted(segments, 'segment')}, ${first} to ${last}; no recovery gets past there`;
    return { object: keyOf(first), kind: 'missing', problem, backups: [], isIdle };
  });
  const histories = system.missingHistories.map((name): LogFault => {
    const problem = 'it is missing: without it nobody knows where that timeline begins';
    return { object: keyOf(name), kind: 'missing', problem, backups: [], isIdle: bases.length === 0 };
  });
  const damaged = system.damaged.flatMap(({ object, problem }): LogFault[] => {
    const file = parseWalKey(object)?.file;
    return file === undefined ? [] : [{ object, kind: 'damaged', problem, ...usersOf(bases, file) }];
  });
  return [...damaged, ...ofBases, ...gaps, ...histories];
}

/** Without all of its own log a base backup is of no use; an unfinished segment may be the last of it. */
function missingOf({ id, facts }: KnownBase, log: HeldLog | undefined, keyOf: (name: string) => string): LogFault[] {
  const { first, last } = segmentsOfBase(facts);
  const names: string[] = [];
  for (let number = first; number <= last; number++) {
    const name = segmentName(facts.timeline, number, facts.walSegmentBytes);
    const isBegun = log?.timelines.get(facts.timeline)?.unfinished === number;
    if (log === undefined || !(holdsWhole(log, name) || isBegun)) names.push(name);
  }
  const [missing] = names;
  if (missing === undefined) return [];
  const problem = `it is missing: ${counted(names.length, 'segment')} of the log that base backup ${id} needs`;
  return [{ object: keyOf(missing), kind: 'missing', problem, backups: [id], isIdle: false }];
}

function smaller(least: bigint | undefined, each: bigint): bigint {
  return least === undefined || each < least ? each : least;
}
