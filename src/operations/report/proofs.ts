/** What was proven in a time, by the evidence that counts. */
import { mapInOrder } from '../../lib/concurrency.ts';
import { allEvidenceNames, readEvidence, type EvidencedBackup } from '../../repository/backups/evidence.ts';
import { evidenceLevels, type Evidence } from '../../repository/backups/evidence-record.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ReportedProof } from './request.ts';

const readAtOnce = 16;

/** Of these backups' evidence that ended in this time, milliseconds since 1970; by target. */
export async function proofsWithin(
  repository: Repository,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  backups: readonly (EvidencedBackup & { readonly target: string })[],
): Promise<ReadonlyMap<string, readonly ReportedProof[]>> {
  const names = await allEvidenceNames(repository);
  const wanted = backups.flatMap((backup) =>
    (names.get(backup.id) ?? [])
      .filter(({ at }) => Date.parse(at) >= fromMs && Date.parse(at) < toMs)
      .map((name) => ({ backup, name })),
  );
  const byTarget = new Map<string, Evidence[]>();
  const reading = mapInOrder(
    wanted,
    async ({ backup, name }) => ({ target: backup.target, ...(await readEvidence(repository, backup, name)) }),
    readAtOnce,
  );
  for await (const { target, evidence } of reading) {
    if (evidence === undefined) continue;
    const known = byTarget.get(target);
    if (known === undefined) byTarget.set(target, [evidence]);
    else known.push(evidence);
  }
  return new Map([...byTarget].map(([target, evidence]) => [target, tally(evidence)]));
}

function tally(evidence: readonly Evidence[]): ReportedProof[] {
  return evidenceLevels.flatMap((level) => {
    const of = evidence.filter((each) => each.level === level);
    const good = of.filter(({ result }) => result === 'ok');
    if (of.length === 0) return [];
    return [
      {
        level,
        ok: good.length,
        failed: of.length - good.length,
        lastAt: good
          .map(({ finishedAt }) => finishedAt)
          .toSorted()
          .at(-1),
        longestMs: good.length === 0 ? undefined : Math.max(...good.map(({ durationMs }) => durationMs)),
      },
    ];
  });
}
