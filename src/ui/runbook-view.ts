/** What `lifeboat runbook` prints: the runbook itself. */
import type { RunbookResult } from '../operations/emergency/runbook.ts';
import type { View } from './view.ts';

export const runbookView: View<RunbookResult> = {
  schema: 'lifeboat.runbook/v1',
  hasLines: true,
  kind: 'query',
  text: ({ text }) => text.trimEnd(),
};
