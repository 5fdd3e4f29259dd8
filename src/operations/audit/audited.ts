/**
 * The wrapper of every operation that changes, restores, takes out or deletes something: one record in the audit
 * log for each run, good or bad. A record that cannot be written is a warning, never a failure: what was done is
 * done. Dry runs, and runs that were skipped, did nothing.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOfError, LifeboatError, messageOf } from '../../lib/errors.ts';
import { systemFailure } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { Secret } from '../../lib/secret.ts';
import { appendAudit, type AuditDraft } from '../../repository/audit.ts';
import { isBackupId } from '../../repository/manifests/ids.ts';
import { withRepository } from '../open-repository.ts';
import type { Run } from '../operation.ts';
import type { Json } from '../../source/source.ts';
import type { Repository } from '../../repository/repository.ts';

/** After a run that failed nobody waits long for its record; after a good one as long as for any object. */
const limitMs = { ok: 60_000, failed: 10_000 } as const;

/** What a result says of the run, where the result alone tells whether it was a good one. */
export interface AuditVerdict {
  readonly ids: readonly string[];
  /** 0 for a good one. */
  readonly exitCode: number;
  readonly message?: string | undefined;
}

/**
 * The same operation with a record of each run. `command` is what an operator would call it; without `verdictOf` a run
 * that does not throw is a good one.
 */
export function audited<Q extends object, R extends object>(
  command: string,
  operation: Run<Q, R>,
  verdictOf?: (result: R) => AuditVerdict,
): Run<Q, R> {
  return async (loaded, request, context) => {
    const startedMs = Date.now();
    const asked = argumentsOf(request);
    const base = { command, startedMs, target: textOf(request, 'target') };
    let result: R;
    try {
      result = await operation(loaded, request, context);
    } catch (thrown) {
      const error = systemFailure(thrown);
      const failed = { ids: idsOf(request), exitCode: exitCodeOfError(error), message: messageOf(error) };
      if (isOfInterest(request, error)) await record(loaded, draftOf(base, asked, failed), context);
      throw error;
    }
    if (didNothing(request, result)) return result;
    const verdict = verdictOf?.(result) ?? { ids: idsOf(result), exitCode: 0 };
    const target = textOf(result, 'target') ?? base.target;
    await record(loaded, draftOf({ ...base, target }, asked, verdict), context);
    return result;
  };
}

/** A storage that has just failed would only be waited for once more. */
function isOfInterest(request: object, error: unknown): boolean {
  return !isOn(request, 'dryRun') && !(error instanceof LifeboatError && error.code === 'storage');
}

/** A dry run, a plan, or a run that left the work to another one. */
export function didNothing(request: object, result: object): boolean {
  return (
    isOn(request, 'dryRun') || ['planned', 'fallback-planned', 'skipped'].includes(textOf(result, 'outcome') ?? '')
  );
}

/** Of a run that ends now. */
function draftOf(
  base: Pick<AuditDraft, 'command' | 'startedMs' | 'target'>,
  asked: Record<string, Json>,
  { ids, exitCode, message }: AuditVerdict,
): AuditDraft {
  return {
    ...base,
    ids: [...ids],
    outcome: exitCode === 0 ? 'ok' : 'failed',
    exitCode,
    finishedMs: Date.now(),
    details: { arguments: asked, ...(message === undefined ? {} : { message }) },
  };
}

/** Writes one record by a connection of its own: that of the run may be ended already. Never rejects. */
export async function record(loaded: LoadedConfig, draft: AuditDraft, context: RunContext): Promise<void> {
  if (loaded.config.repository === undefined) return;
  const limit = AbortSignal.timeout(limitMs[draft.outcome]);
  const quiet: RunContext = {
    signal: limit,
    emit: (event) => (event.type === 'warning' ? undefined : context.emit(event)),
  };
  // A failure is told as what it is, and a host without a key to write with knows that it has none.
  const tell = (message: string, isExpected = false): void =>
    context.emit({ type: isExpected || draft.outcome === 'failed' ? 'debug' : 'warning', message });
  try {
    await withRepository(loaded, quiet, async (repository) => appendAudit(repository, draft, tell));
  } catch (error) {
    const isWithoutKey = error instanceof LifeboatError && error.code === 'key';
    tell(`this run is not in the audit log: ${messageOf(error)}`, isWithoutKey);
  }
}

/** What was asked for, as JSON: secrets as stars, without functions and whatever was left at "no". */
export function argumentsOf(request: object): Record<string, Json> {
  const plain = plainOf(request);
  return typeof plain === 'object' && plain !== null && !Array.isArray(plain) ? (plain as Record<string, Json>) : {};
}

function plainOf(value: unknown): Json | undefined {
  if (value instanceof Secret) return '***';
  if (typeof value === 'number' || (typeof value === 'string' && value !== '') || value === true) return value;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.flatMap((each) => plainOf(each) ?? []);
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value).flatMap(([key, each]) => {
    const plain = plainOf(each);
    return plain === undefined ? [] : [[key, plain] as const];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** Full ids that a request or a result names, in whatever place. */
function idsOf(value: object): string[] {
  const { id, safetyBackupId, backups } = value as { id?: unknown; safetyBackupId?: unknown; backups?: unknown };
  const gone = Array.isArray(backups)
    ? (backups as { id?: unknown; keep?: unknown }[]).flatMap((each) => (each.keep === false ? each.id : []))
    : [];
  return [id, safetyBackupId, ...gone].filter((each): each is string => typeof each === 'string' && isBackupId(each));
}

function textOf(value: object, key: string): string | undefined {
  const text = (value as Record<string, unknown>)[key];
  return typeof text === 'string' ? text : undefined;
}

function isOn(value: object, key: string): boolean {
  return (value as Record<string, unknown>)[key] === true;
}

/**
 * What is deleted for good is written down before it goes: a backup that is gone without a record looks like one that
 * somebody took away. Rejects where nothing can be recorded: then nothing may be deleted.
 */
export async function recordDeleted(
  repository: Repository,
  request: object,
  deleted: readonly { readonly id: string; readonly seal: string }[],
  { emit }: Pick<RunContext, 'emit'>,
): Promise<void> {
  const now = Date.now();
  const draft: AuditDraft = {
    command: 'cleanup',
    ids: deleted.map(({ id }) => id),
    outcome: 'ok',
    exitCode: 0,
    startedMs: now,
    finishedMs: now,
    details: { arguments: argumentsOf(request), step: 'deleting for good' },
    deleted,
  };
  await appendAudit(repository, draft, (message) => emit({ type: 'warning', message }));
}
