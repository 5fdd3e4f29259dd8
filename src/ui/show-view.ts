/** What `lifeboat show` prints. */
import type { Milestone, ProofState } from '../operations/proof/state.ts';
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { formatBytes } from '../lib/units.ts';
import type { ShowResult } from '../operations/list/request.ts';
import { factsText } from './facts/facts.ts';
import { notesOf } from './list-view.ts';
import { shownTime, sizeCells, sizeHead } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const showView: View<ShowResult> = {
  schema: 'lifeboat.show/v1',
  kind: 'query',
  text: async (result) => {
    const parts = [headText(result), await componentsText(result), await artifactsText(result)];
    return [...parts, ...(await factsTexts(result)), await evidenceText(result)]
      .filter((part) => part !== '')
      .join('\n\n');
  },
};

function headText({ repository, backup, versions, previousId, dataKey }: ShowResult): string {
  const tookMs = Date.parse(backup.finishedAt) - Date.parse(backup.startedAt);
  const rows: [string, string][] = [
    ['backup', backup.id],
    ['repository', repository],
    ['target', `${backup.target} (${backup.type}), taken on ${backup.host}`],
    ['taken', `${shownTime(backup.startedAt)} to ${shownTime(backup.finishedAt)} (UTC), ${formatDuration(tookMs)}`],
    ['previous', previousId ?? 'none'],
    ['data key', dataKey ?? 'none: not encrypted'],
    ['written by', backup.trust === 'authentic' ? 'a writer that is trusted' : `${backup.trust} writer`],
    [
      'versions',
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    ['state', backup.standing?.state ?? 'unknown: there is no key to read the evidence with'],
    ...stateRows(backup.standing),
    ['hold', backup.hold === undefined ? '' : holdText(backup.hold)],
    ['tags', backup.tags.join(', ')],
    ['notes', notesOf({ ...backup, hold: undefined, tags: [] })],
  ];
  return rows
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name.padEnd(12)}${printable(value)}`)
    .join('\n');
}

/** When each step of the proof was taken, and what has failed. */
function stateRows(standing: ProofState | undefined): [string, string][] {
  if (standing === undefined) return [];
  const row = (name: string, found: Milestone | undefined): [string, string][] =>
    found === undefined ? [] : [[name, `${shownTime(found.at)} (${found.level}, ${formatDuration(found.durationMs)})`]];
  const { checked, decoded, proven, restored, recovered, lastFailure, failing } = standing;
  return [
    ...row('checked', checked),
    ...row('decoded', decoded),
    ...row('proven', proven),
    ...row('restored', restored),
    ...row('recovered', recovered),
    ...row(failing ? 'FAILED' : 'failed then', lastFailure),
  ];
}

async function componentsText({ components }: ShowResult): Promise<string> {
  return columns(
    ['COMPONENT', 'VERSION', 'FROM (UTC)', 'TO (UTC)', ...sizeHead],
    components.map((each) => [
      each.name,
      each.serverVersion ?? '',
      shownTime(each.startedAt),
      shownTime(each.finishedAt),
      ...sizeCells(each),
    ]),
    [4, 5, 6],
  );
}

async function artifactsText({ components }: ShowResult): Promise<string> {
  const rows = components.flatMap((component) =>
    component.artifacts.map((each) => [
      each.name,
      component.name,
      formatBytes(each.bytes),
      String(each.chunks),
      each.mediaType,
    ]),
  );
  return columns(['ARTIFACT', 'COMPONENT', 'SIZE', 'CHUNKS', 'MEDIA TYPE'], rows, [2, 3]);
}

async function factsTexts({ components }: ShowResult): Promise<string[]> {
  return Promise.all(
    components.flatMap(({ name, kind, facts }) => (facts === undefined ? [] : [factsText({ name, kind, facts })])),
  );
}

function findingsOf({ compared = [], damaged = [], isolation }: ShowResult['evidence'][number]): string {
  const faults = damaged.map(({ object, problem }) => `${object}: ${problem}`);
  return [...(isolation === 'none' ? ['without isolation'] : []), ...compared, ...faults].join('; ');
}

async function evidenceText({ evidence }: ShowResult): Promise<string> {
  if (evidence.length === 0) return 'evidence: none yet; nobody has checked this backup';
  const rows = evidence.map((each) => [
    shownTime(each.at),
    each.level,
    each.result,
    each.durationMs === undefined ? '' : formatDuration(each.durationMs),
    each.bytes === undefined ? '' : formatBytes(each.bytes),
    each.reason === undefined ? findingsOf(each) : `does not count: ${each.reason}`,
  ]);
  return columns(['EVIDENCE (UTC)', 'LEVEL', 'RESULT', 'TIME', 'READ', 'WHAT'], rows, [3, 4]);
}

function holdText({ since, until, reason }: NonNullable<ShowResult['backup']['hold']>): string {
  const term = `since ${shownTime(since)}${until === undefined ? '' : ` until ${shownTime(until)}`}`;
  return reason === '' ? term : `${term}: ${reason}`;
}
