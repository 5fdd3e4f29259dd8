/** The audit log, chosen and in the order of time, and whether it is whole. */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import { auditHost } from '../../repository/audit-names.ts';
import type { Json } from '../../source/source.ts';
import { readAuditLog, type AuditEntry, type AuditFinding } from './chain.ts';
import { withRepository } from '../open-repository.ts';
import type { Operation } from '../operation.ts';
import { repositoryNeeds } from '../complete.ts';
import { exitCodeOf, exitCodeWarnings } from '../../lib/errors.ts';

export interface AuditRequest {
  readonly host?: string | undefined;
  /** "backup", "keys rotate"; undefined: every one. */
  readonly command?: string | undefined;
  readonly target?: string | undefined;
  /** Milliseconds since 1970: only what ended then or later. */
  readonly sinceMs?: number | undefined;
  readonly outcome?: 'ok' | 'failed' | undefined;
  /** The newest so many. */
  readonly limit?: number | undefined;
}

/** Times RFC 3339 in UTC. */
export interface AuditedRun {
  readonly object: string;
  readonly number: number;
  readonly host: string;
  readonly user: string;
  readonly uid: number;
  readonly command: string;
  readonly target?: string | undefined;
  readonly ids: readonly string[];
  readonly outcome: 'ok' | 'failed';
  readonly exitCode: number;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Undefined where no key opens them. */
  readonly arguments?: Readonly<Record<string, Json>> | undefined;
  readonly message?: string | undefined;
  readonly step?: string | undefined;
  readonly deleted?: readonly { readonly id: string; readonly seal: string }[] | undefined;
}

export interface AuditResult {
  readonly repository: string;
  /** Oldest first. */
  readonly records: readonly AuditedRun[];
  /** Of all hosts, or of the one that was asked for, whatever else was chosen. */
  readonly findings: readonly AuditFinding[];
  /** How many records there are, chosen or not. */
  readonly total: number;
}

export const auditOperation: Operation<AuditRequest, AuditRequest, AuditResult> = {
  need: () => repositoryNeeds,
  complete: (options) => options,
  run: auditLog,
  exitCode: ({ findings }) => {
    if (findings.some(({ weight }) => weight === 'fault')) return exitCodeOf.integrity;
    return findings.length > 0 ? exitCodeWarnings : 0;
  },
};

export async function auditLog(loaded: LoadedConfig, request: AuditRequest, context: RunContext): Promise<AuditResult> {
  return withRepository(loaded, context, async (repository) => {
    const { entries, findings } = await readAuditLog(
      repository,
      context.signal,
      request.host === undefined ? undefined : auditHost(request.host),
    );
    const chosen = entries
      .filter((entry) => isChosen(entry, request))
      .toSorted((a, b) => Date.parse(a.record.finishedAt) - Date.parse(b.record.finishedAt));
    const records = chosen
      .slice(request.limit === undefined ? 0 : Math.max(0, chosen.length - request.limit))
      .map(shown);
    return { repository: repository.storage.location, records, findings, total: entries.length };
  });
}

function isChosen({ record }: AuditEntry, { command, target, sinceMs, outcome }: AuditRequest): boolean {
  const isCommand = command === undefined || record.command === command || record.command.startsWith(`${command} `);
  return (
    isCommand &&
    (target === undefined || record.target === target) &&
    (outcome === undefined || record.outcome === outcome) &&
    (sinceMs === undefined || Date.parse(record.finishedAt) >= sinceMs)
  );
}

function shown({ object, number, record }: AuditEntry): AuditedRun {
  const { host, user, uid, command, target, ids, outcome, exitCode, startedAt, finishedAt, deleted, details } = record;
  return {
    object,
    number,
    host,
    user,
    uid,
    command,
    target,
    ids,
    outcome,
    exitCode,
    startedAt,
    finishedAt,
    arguments: details?.arguments,
    message: details?.message,
    step: details?.step,
    deleted,
  };
}
