/** The documents of restoring; see documents.ts. */
import { z } from 'zod';
import { document, durationMs, size, text, texts, time } from './shapes.ts';

const restore = z.discriminatedUnion('outcome', [
  document('restore', {
    outcome: z.literal('done'),
    id: text,
    target: text,
    startedAt: time,
    durationMs,
    components: z.array(
      z.strictObject({
        name: text,
        kind: text,
        to: text,
        bytes: size,
        durationMs,
        verified: z.enum(['equal', 'partial', 'not-checked']),
        summary: text.optional(),
        kept: text.optional().describe('name under which the old one was kept'),
        undo: text.optional().describe('command that takes the restore back'),
        created: texts.optional().describe('roles and tablespaces that were made'),
      }),
    ),
    safetyBackupId: text.optional(),
    warnings: texts,
  }),
  document('restore', {
    outcome: z.literal('planned'),
    id: text,
    target: text,
    steps: z.array(z.strictObject({ component: text, to: text, action: text, bytes: size })),
    warnings: texts,
  }),
]);

export const restoreDocuments = {
  restore,
  'restore-undo': document('restore-undo', { outcome: z.enum(['done', 'planned']), database: text, setAside: text }),
  export: document('export', {
    id: text,
    folder: text,
    files: z.array(z.strictObject({ path: text, component: text, bytes: size, sha256: text })),
    warnings: texts,
  }),
};
