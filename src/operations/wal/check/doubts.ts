/** What a check of archived log could not do: warnings. */
import type { RunContext } from '../../../lib/events.ts';
import { counted } from '../../../lib/units.ts';
import type { LogCheck } from './request.ts';

/** Emits them. */
export function tellDoubts({ doubts, notes }: LogCheck, { emit }: RunContext): void {
  for (const message of notes) emit({ type: 'warning', message });
  if (doubts.first === undefined) return;
  const what = `${counted(doubts.count, 'file')} of write-ahead log could not be judged`;
  emit({ type: 'warning', message: `${what}: ${doubts.first}` });
}
