/**
 * What a recovery to a moment says of a backup: it is told beside the steps of its proof, and takes none of them away.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, type NewestEvidence } from '../../../../src/operations/proof/state.ts';
import type { Evidence, EvidenceLevel, EvidenceResult } from '../../../../src/repository/backups/evidence-record.ts';

/** `pieces`: level, result, and the minute at which it was found. */
function evidence(...pieces: readonly (readonly [EvidenceLevel, EvidenceResult, number])[]): NewestEvidence {
  const found = new Map<EvidenceLevel, Partial<Record<EvidenceResult, { object: string; evidence: Evidence }>>>();
  for (const [level, result, minute] of pieces) {
    const at = new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
    const piece: Evidence = {
      backup: 'b',
      manifestSeal: '',
      level,
      result,
      startedAt: at,
      finishedAt: at,
      durationMs: 1,
      host: 'h',
      versions: {},
      compared: [],
      counts: {},
      bytes: 0,
      steps: [],
      damaged: [],
      damagedCount: 0,
      notes: [],
    };
    found.set(level, { ...found.get(level), [result]: { object: `${level}-${result}.json`, evidence: piece } });
  }
  return found;
}

test('a proven recovery proves no backup by itself, and refutes no damage', () => {
  const { state, recovered, failing } = judge(evidence(['pitr', 'ok', 2]));
  assert.deepEqual([state, recovered?.level, failing], ['stored', 'pitr', false]);
  const damaged = judge(evidence(['stored', 'failed', 1], ['pitr', 'ok', 2]));
  assert.deepEqual([damaged.failing, damaged.lastFailure?.level], [true, 'stored']);
});

test('one that failed is a failure until the next succeeds, and what a drill has proven stays', () => {
  const failed = judge(evidence(['drill', 'ok', 1], ['pitr', 'ok', 2], ['pitr', 'failed', 3]));
  assert.deepEqual([failed.state, failed.failing, failed.lastFailure?.level], ['proven', true, 'pitr']);
  const later = judge(evidence(['drill', 'ok', 4], ['pitr', 'failed', 3]));
  assert.deepEqual(
    [later.failing, later.lastFailure?.level],
    [true, 'pitr'],
    'a drill of the backup says nothing of the log behind it',
  );
  const again = judge(evidence(['drill', 'ok', 1], ['pitr', 'failed', 3], ['pitr', 'ok', 4]));
  assert.deepEqual([again.state, again.failing, again.recovered?.level], ['proven', false, 'pitr']);
});
