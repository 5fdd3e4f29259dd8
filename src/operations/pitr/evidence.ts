/**
 * A recovery for real is a measurement of its base backup: how long it took, and what was found sound, kept as evidence
 * beside it.
 */
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { writeEvidence } from '../../repository/backups/evidence.ts';
import type { Repository } from '../../repository/repository.ts';
import type { PitrPlan } from './plan.ts';
import type { PitrRecovered } from './request.ts';

/** Only of a backup that holds nothing else: evidence speaks for all of its components. Never rejects. */
export async function recordRecovery(
  repository: Repository,
  { manifest, place }: PitrPlan,
  recovered: Pick<PitrRecovered, 'databases' | 'structure' | 'segmentsReplayed' | 'durationMs'>,
  { emit }: RunContext,
): Promise<void> {
  if (manifest.components.length > 1) return;
  try {
    const { seal } = await repository.readManifest(manifest.id);
    const finishedMs = Date.now();
    const { databases, structure, segmentsReplayed, durationMs } = recovered;
    await writeEvidence(
      repository,
      { id: manifest.id, seal, manifest },
      {
        level: 'restore',
        result: 'ok',
        startedMs: finishedMs - Math.round(durationMs),
        finishedMs,
        versions: { postgres: place.version },
        compared: [
          'every row of every table was read after the recovery',
          ...(structure.outcome === 'clean' ? ['the structure of tables and indexes by pg_amcheck'] : []),
        ],
        counts: { databases: databases.length, segments: segmentsReplayed },
        bytes: manifest.components.flatMap(({ artifacts }) => artifacts).reduce((sum, { bytes }) => sum + bytes, 0),
        steps: [{ name: 'recover to a moment', durationMs: Math.round(durationMs) }],
      },
    );
  } catch (error) {
    emit({ type: 'debug', message: `how long it took is not recorded: ${messageOf(error)}` });
  }
}
