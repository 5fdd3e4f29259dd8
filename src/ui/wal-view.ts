/**
 * What the commands on write-ahead log print. PostgreSQL writes what push and fetch say into its log, so good runs are
 * silent.
 */
import type {
  WalFetchResult,
  WalPushResult,
  WalRecipeResult,
  WalStatusResult,
  WalStreamReport,
  WalSystem,
} from '../operations/wal/request.ts';
import { printable } from '../lib/printable.ts';
import { formatBytes } from '../lib/units.ts';
import type { View } from './view.ts';

export const walPushView: View<WalPushResult> = {
  schema: 'lifeboat.wal-push/v1',
  kind: 'action',
  text: ({ along }) => (along.length === 0 ? '' : `archived ${along.length} more files that were ready`),
};

export const walFetchView: View<WalFetchResult> = {
  schema: 'lifeboat.wal-fetch/v1',
  kind: 'action',
  text: ({ name, from }) =>
    from === 'unfinished' ? `${name} is delivered as far as the stream had it: the archive ends here` : '',
};

export const walRecipeView: View<WalRecipeResult> = {
  schema: 'lifeboat.init-archive-command/v1',
  kind: 'query',
  text: ({ archiveCommand, restoreCommand }) => `archive_mode = on\n${archiveCommand}\n${restoreCommand}`,
};

export const walStreamView: View<WalStreamReport> = {
  schema: 'lifeboat.wal-stream/v1',
  kind: 'action',
  text: ({ state, slot, shippedLsn, segments, partials }) => {
    if (state === 'slot-dropped') return `the replication slot ${slot} is removed`;
    if (state === 'slot-absent') return `there is no replication slot ${slot}: nothing was changed`;
    if (state === 'skipped') return 'another receiver of this cluster runs: nothing was done';
    const all = shippedLsn === undefined ? 'nothing was shipped' : `all up to ${shippedLsn} is in the repository`;
    return `stopped; ${all}; shipped in this run: finished segments ${segments}, unfinished ones ${partials}`;
  },
};

export const walStatusView: View<WalStatusResult> = {
  schema: 'lifeboat.wal-status/v1',
  kind: 'query',
  text: ({ repository, systems, lag, warnings }) => {
    const server = lag === undefined ? [] : [lagLine(lag)];
    const archive = systems.length === 0 ? [`no write-ahead log in ${repository}`] : systems.flatMap(systemLines);
    return [...archive, ...server, ...warnings.map((warning) => `warning: ${warning}`)].join('\n');
  },
};

function lagLine(lag: NonNullable<WalStatusResult['lag']>): string {
  const ago = lag.secondsSince === undefined ? '' : `, ${lag.secondsSince} s ago`;
  const archived = `last archived: ${lag.lastArchived ?? 'nothing yet'}${ago}`;
  const behind = lag.behindBytes === undefined ? '' : `; the archive is ${formatBytes(lag.behindBytes)} behind`;
  const where = `${lag.standby === true ? 'the standby has the log up to' : 'the server is at'} ${lag.currentLsn}`;
  return `${where} (${lag.currentSegment}); ${archived}; failures: ${lag.failures}${behind}`;
}

function systemLines({ systemId, timelines, gaps, missingHistories, damaged }: WalSystem): string[] {
  return [
    `cluster ${systemId}`,
    ...timelines.map(timelineLine),
    ...gaps.map(({ first, last, segments }) => `  GAP: ${first} to ${last}, segments: ${segments}`),
    ...missingHistories.map((name) => `  MISSING: ${name}`),
    ...damaged.map(({ object, problem }) => `  DAMAGED: ${object}: ${printable(problem)}`),
  ];
}

function timelineLine({ timeline, first, last, segments, unfinished }: WalSystem['timelines'][number]): string {
  const whole = segments === 0 ? 'no whole segment' : `${first} to ${last}, segments: ${segments}`;
  const begun =
    unfinished === undefined ? '' : `, and ${unfinished.segment} up to ${unfinished.lsn} (${unfinished.at})`;
  return `  timeline ${timeline}: ${whole}${begun}`;
}
