/** A report as headings, sentences and tables: what text, CSV, HTML and PDF have in common. */
import { formatDuration } from '../../lib/time.ts';
import { formatBytes } from '../../lib/units.ts';
import type { ReportDocument, ReportedTarget } from './request.ts';

export interface ReportTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface ReportSection {
  readonly title: string;
  /** Sentences before the table. */
  readonly words: readonly string[];
  readonly table?: ReportTable | undefined;
}

export const reportTitle = 'Report on backups';

/** Whole days are told; times are in UTC. */
export function reportHead({ repository, from, to, at }: ReportDocument): string[] {
  return [`${day(from)} to ${day(to)}`, `Repository: ${repository}`, `Made: ${minute(at)} UTC`];
}

/** Foreign texts in it are as they are. */
export function reportSections(report: ReportDocument): ReportSection[] {
  return [
    verdictOf(report),
    schedulesOf(report),
    backupsOf(report),
    proofsOf(report),
    restoresOf(report),
    protectionOf(report),
    actsOf(report),
    keysOf(report),
  ];
}

function verdictOf({ verdict, incidents }: ReportDocument): ReportSection {
  const open = incidents.filter(({ acknowledged }) => acknowledged === undefined).length;
  const words = [`The backups are ${verdict}.`, `Open incidents: ${open}; acknowledged: ${incidents.length - open}.`];
  const rows = incidents.map(({ weight, target = '', message, acknowledged }) => [
    weight,
    target,
    message,
    acknowledged === undefined ? 'open' : `acknowledged by ${acknowledged.by} on ${day(acknowledged.at)}`,
  ]);
  return { title: 'State', words, table: tableOf(['Weight', 'Target', 'What', 'State'], rows) };
}

function schedulesOf({ schedules }: ReportDocument): ReportSection {
  const columns = ['Schedule', 'Target', 'Type', 'Due', 'Done', 'Failed', 'Caught up', 'Missed', 'Attempts'];
  const rows = schedules.map((each) => {
    const failed = each.failed + each.hung + each.aborted;
    const due = each.done + failed + each.skipped + each.caughtUp + each.missed;
    const numbers = [due, each.done, failed, each.caughtUp + each.skipped, each.missed, each.attempts];
    return [each.id, each.target ?? 'all', each.type ?? 'no longer in force', ...numbers.map(String)];
  });
  const words = rows.length === 0 ? ['No schedule is in the repository.'] : [];
  return { title: 'What was to run, and ran', words, table: tableOf(columns, rows) };
}

function backupsOf({ targets, storedBytes }: ReportDocument): ReportSection {
  const columns = ['Target', 'Backups', 'Failed runs', 'Read', 'New', 'Stored', 'Newest', 'Its state'];
  const rows = targets.map(({ name, backups, failedRuns, newest, ...bytes }) => [
    name,
    String(backups),
    String(failedRuns),
    ...[bytes.readBytes, bytes.newBytes, bytes.storedBytes].map(formatBytes),
    newest === undefined ? 'none' : minute(newest.at),
    newest?.state ?? '',
  ]);
  return {
    title: 'Backups made',
    words: [stillThere, `All that is stored: ${formatBytes(storedBytes)}.`],
    table: tableOf(columns, rows),
  };
}

/** Of the others there is no record but in the audit log. */
const stillThere = 'Of the backups that are still there; what retention has deleted is not counted.';

function proofsOf({ targets }: ReportDocument): ReportSection {
  const columns = ['Target', 'Kind', 'Good', 'Failed', 'Last good one', 'Longest'];
  const rows = targets.flatMap(({ name, proofs }) =>
    proofs.map(({ level, ok, failed, lastAt, longestMs }) => [
      name,
      level,
      String(ok),
      String(failed),
      lastAt === undefined ? 'none' : minute(lastAt),
      longestMs === undefined ? '' : formatDuration(longestMs),
    ]),
  );
  const words = rows.length === 0 ? ['Nothing that is still there was proven in this time.'] : [stillThere];
  return { title: 'Proofs', words, table: tableOf(columns, rows) };
}

function restoresOf({ targets, promises }: ReportDocument): ReportSection {
  const words = promises.map(({ scenario, rtoMinutes, rpoMinutes }) => {
    const back = rtoMinutes === undefined ? [] : [`back within ${rtoMinutes} minutes`];
    const lost = rpoMinutes === undefined ? [] : [`no more than ${rpoMinutes} minutes lost`];
    return `The plan promises, for "${scenario}": ${[...back, ...lost].join(', ')}.`;
  });
  if (promises.length > 0) words.push('Only the time is compared, with the shortest one that is promised.');
  const rtoMs = Math.min(
    ...promises.flatMap(({ rtoMinutes }) => (rtoMinutes === undefined ? [] : rtoMinutes * 60_000)),
  );
  const columns = ['Target', 'Time to restore', 'By', 'Last proven', 'Within the plan'];
  return {
    title: 'Time to restore',
    words,
    table: tableOf(
      columns,
      targets.map((each) => restoreRow(each, rtoMs)),
    ),
  };
}

function restoreRow({ name, restoreTime, newestProven }: ReportedTarget, rtoMs: number): string[] {
  const proven = newestProven === undefined ? 'never' : minute(newestProven.provenAt);
  if (restoreTime === undefined) return [name, 'no backup', '', proven, 'no'];
  const { ms, basis, measuredAt } = restoreTime;
  const by = basis === 'measured' ? `a drill, ${measuredAt === undefined ? '' : day(measuredAt)}` : 'an assumption';
  const fits = !Number.isFinite(rtoMs)
    ? 'no promise'
    : ms > rtoMs
      ? 'no'
      : basis === 'measured'
        ? 'yes'
        : 'not measured';
  return [name, formatDuration(ms), by, proven, fits];
}

function protectionOf({ targets, immutability }: ReportDocument): ReportSection {
  const rows = targets.map(({ name, retention }) => [name, retention.join('; ')]);
  const words = [`${immutability[0]?.toUpperCase() ?? ''}${immutability.slice(1)}.`];
  return { title: 'Retention and immutability', words, table: tableOf(['Target', 'Kept'], rows) };
}

function actsOf({ acts, auditFindings }: ReportDocument): ReportSection {
  const words =
    auditFindings.length === 0 ? ['The audit log is whole.'] : auditFindings.map((each) => `The audit log: ${each}.`);
  const rows = acts.map(({ at, host, user, command, target = '', outcome, backups, deleted }) => [
    minute(at),
    `${user}@${host}`,
    command,
    target,
    outcome,
    [...backups, ...deleted.map((id) => `deleted: ${id}`)].join(' '),
  ]);
  const columns = ['When (UTC)', 'Who', 'Command', 'Target', 'Outcome', 'Backups'];
  return { title: 'Who restored, exported, deleted', words, table: tableOf(columns, rows) };
}

function keysOf({ keys }: ReportDocument): ReportSection {
  const rows = keys.map(({ id, createdAt, ageDays, recipients, current }) => [
    id,
    day(createdAt),
    `${ageDays} days`,
    recipients.join(' '),
    current ? 'in use' : 'for older backups',
  ]);
  const words = rows.length === 0 ? ['The repository is not encrypted.'] : [];
  return { title: 'Keys', words, table: tableOf(['Key', 'Made', 'Age', 'Opened by', 'Use'], rows) };
}

function tableOf(columns: readonly string[], rows: readonly (readonly string[])[]): ReportTable | undefined {
  return rows.length === 0 ? undefined : { columns, rows };
}

function day(time: string): string {
  return time.slice(0, 10);
}

function minute(time: string): string {
  return time.slice(0, 16).replace('T', ' ');
}
