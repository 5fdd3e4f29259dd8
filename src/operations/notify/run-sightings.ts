/** What the end of a run means: which incident begins or ends, and what is said of it. Pure. */
import { AbortedError, LifeboatError, messageOf } from '../../lib/errors.ts';
import type { Severity } from '../../config/schema-notifications.ts';
import type { Incident, Sighting } from './incidents.ts';
import type { NoticeDraft } from './notice.ts';

/** A run that has ended. */
export interface EndedRun {
  /** backup, validate, drill … */
  readonly command: string;
  readonly target: string | undefined;
  /** What of the target it was for; empty: all. */
  readonly parts: readonly string[];
  readonly durationMs: number;
  readonly end:
    | { readonly kind: 'rejected'; readonly error: unknown }
    | {
        readonly kind: 'resolved';
        readonly exitCode: number;
        readonly backup: string | undefined;
        readonly warnings: readonly string[];
      };
}

/** In order. Empty: it is nothing to speak of. */
export function sightingsOf(run: EndedRun): Sighting[] {
  const { end } = run;
  if (end.kind === 'rejected') {
    return isOperators(end.error) ? [] : [wrong(run, 'failed', failureDraft(run, end.error))];
  }
  if (end.exitCode !== 0 && end.exitCode !== 3) return [wrong(run, 'failed', findingDraft(run, end))];
  const isWarned = end.exitCode === 3;
  return [
    over(run, 'failed'),
    isWarned ? wrong(run, 'warned', warningDraft(run, end)) : over(run, 'warned'),
    { kind: 'told', draft: successDraft(run, end) },
  ];
}

type Resolved = Extract<EndedRun['end'], { kind: 'resolved' }>;

/** Who pressed Ctrl-C, or did not confirm, knows. */
function isOperators(error: unknown): boolean {
  if (error instanceof AbortedError) return error.signalName === 'SIGINT';
  return error instanceof LifeboatError && error.code === 'confirmation';
}

function wrong(run: EndedRun, how: 'failed' | 'warned', draft: NoticeDraft): Sighting {
  return { kind: 'wrong', key: keyOf(run, how), parts: run.parts, draft };
}

/** A good run of all ends what a run of a part began. */
function over(run: EndedRun, how: 'failed' | 'warned'): Sighting {
  const start = keyOf({ ...run, parts: [] }, how);
  const isOver = ({ key, parts }: Incident): boolean =>
    (key === start || key.startsWith(`${start}:`)) &&
    (run.parts.length === 0 || (parts.length > 0 && parts.every((part) => run.parts.includes(part))));
  const draftOf = ({ since, count, title }: Incident): ReturnType<Extract<Sighting, { kind: 'over' }>['draftOf']> => ({
    event: `${run.command}.recovered`,
    title: `${nameOf(run)} is well again`,
    text: `it has run well; before, since ${since}, ${times(count)}: ${title}`,
    backup: run.end.kind === 'resolved' ? run.end.backup : undefined,
  });
  return { kind: 'over', isOver, draftOf };
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function keyOf({ command, target, parts }: Pick<EndedRun, 'command' | 'target' | 'parts'>, how: string): string {
  return [command, how, target ?? '*', ...(parts.length === 0 ? [] : [parts.toSorted().join('+')])].join(':');
}

function nameOf({ command, target, parts }: EndedRun): string {
  const what = parts.length === 0 ? '' : ` (${parts.join(', ')})`;
  return `${command}${target === undefined ? '' : ` of ${target}`}${what}`;
}

function failureDraft(run: EndedRun, error: unknown): NoticeDraft {
  const isHung = messageOf(error).startsWith('hung');
  const known = error instanceof LifeboatError ? error : undefined;
  const isBug = known === undefined && !(error instanceof AbortedError);
  const state = known?.state === undefined ? '' : `; ${known.state}`;
  return {
    ...basics(run),
    event: `${run.command}.${isHung ? 'hung' : 'failed'}`,
    outcome: 'failure',
    severity: severityOf(run, error),
    title: `${nameOf(run)} ${isHung ? 'hung' : 'failed'}`,
    text: `${isBug ? 'an error of lifeboat itself: ' : ''}${messageOf(error)}${state}`,
    next: known?.hint ?? 'lifeboat status',
    exitCode: known?.exitCode ?? (error instanceof AbortedError ? error.exitCode : 1),
    code: known?.code ?? (error instanceof AbortedError ? 'aborted' : 'bug'),
  };
}

/** What keeps data from being protected, or says that it is not. What may pass is less. */
function severityOf({ command }: EndedRun, error: unknown): Severity {
  if (error instanceof AbortedError) return 'warning';
  const code = error instanceof LifeboatError ? error.code : undefined;
  if (code === 'integrity') return 'critical';
  return command === 'backup' && code !== 'locked' && code !== 'usage' ? 'critical' : 'warning';
}

function findingDraft(run: EndedRun, { exitCode, backup }: Resolved): NoticeDraft {
  return {
    ...basics(run),
    event: `${run.command}.failed`,
    outcome: 'failure',
    severity: exitCode === 14 ? 'critical' : 'warning',
    title: exitCode === 14 ? `${nameOf(run)} found damage` : `${nameOf(run)} ended with exit code ${exitCode}`,
    text: exitCode === 14 ? 'what is stored is not what it should be' : 'it has found what should not be so',
    next: 'lifeboat status',
    exitCode,
    backup,
  };
}

function warningDraft(run: EndedRun, { warnings, backup }: Resolved): NoticeDraft {
  const [first = 'see the log', ...others] = warnings;
  return {
    ...basics(run),
    event: `${run.command}.warned`,
    outcome: 'failure',
    severity: 'warning',
    title: `${nameOf(run)} has a warning`,
    text: others.length === 0 ? first : `${first} (and ${others.length} more)`,
    next: 'lifeboat status',
    exitCode: 3,
    backup,
  };
}

function successDraft(run: EndedRun, { exitCode, backup }: Resolved): NoticeDraft {
  return {
    ...basics(run),
    event: `${run.command}.succeeded`,
    outcome: 'success',
    severity: 'info',
    title: `${nameOf(run)} has succeeded`,
    text: `it took ${Math.round(run.durationMs / 1000)} s${backup === undefined ? '' : `: ${backup}`}`,
    exitCode,
    backup,
  };
}

function basics({ command, target }: EndedRun): Pick<NoticeDraft, 'command' | 'target'> {
  return { command, target };
}
