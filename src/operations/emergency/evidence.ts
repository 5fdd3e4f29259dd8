/** A restore for real is a measurement: how long all of a backup took to come back, kept as evidence beside it. */
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { writeEvidence } from '../../repository/backups/evidence.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Journal, JournalStep } from './journal.ts';
import { componentOf } from '../component.ts';

/**
 * Only of a run that restored every component, in one go: time during which it was interrupted does not count.
 */
export async function recordRestore(
  repository: Repository,
  { plan, steps }: Journal,
  context: RunContext,
): Promise<void> {
  try {
    const { manifest, seal } = await repository.readManifest(plan.id);
    if (manifest?.components.some(({ kind }) => !plan.components.includes(componentOf(kind))) !== false) return;
    const timed = steps.flatMap((step) => timeOf(step));
    const startedMs = Math.min(...timed.map((each) => each.startedMs));
    const finishedMs = startedMs + timed.reduce((sum, { durationMs }) => sum + durationMs, 0);
    const bytes = manifest.components
      .flatMap(({ artifacts }) => artifacts)
      .reduce((sum, artifact) => sum + artifact.bytes, 0);
    const compared = ['what each component holds after the restore with what the backup recorded'];
    await writeEvidence(
      repository,
      { id: plan.id, seal, manifest },
      {
        level: 'restore',
        result: 'ok',
        startedMs,
        finishedMs,
        compared,
        counts: { components: plan.components.length },
        bytes,
        steps: timed.map(({ name, durationMs }) => ({ name, durationMs })),
      },
    );
  } catch (error) {
    context.emit({ type: 'debug', message: `how long it took is not recorded: ${messageOf(error)}` });
  }
}

function timeOf({
  name,
  state,
  startedAt,
  finishedAt,
}: JournalStep): { readonly name: string; readonly startedMs: number; readonly durationMs: number }[] {
  if (state !== 'done' || startedAt === undefined || finishedAt === undefined) return [];
  return [{ name, startedMs: Date.parse(startedAt), durationMs: Date.parse(finishedAt) - Date.parse(startedAt) }];
}
