/**
 * What is deleted for good is written down before it goes: a backup that is gone without a record looks like one that
 * somebody took away.
 */
import type { RunContext } from '../lib/events.ts';
import { appendAudit, type AuditDraft } from '../repository/audit.ts';
import type { Repository } from '../repository/repository.ts';
import { argumentsOf } from './audit/audited.ts';

/** Rejects where nothing can be recorded: then nothing may be deleted. */
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
