/** The documents of making backups and of those that are there; see documents.ts. */
import { z } from 'zod';
import { backupType, counts, document, durationMs, size, sizes, text, texts, time } from './shapes.ts';
import { standing } from './standing.ts';

const facts = z.json().describe('what was recorded of the content; the shape depends on the kind');

const flaws = z.int().describe('how many pages of the source are damaged, or tables not in the backup');

const backup = z.discriminatedUnion('outcome', [
  document('backup', {
    outcome: z.literal('done'),
    id: text,
    target: text,
    type: backupType,
    repository: text,
    startedAt: time,
    finishedAt: time,
    durationMs,
    encrypted: z.boolean(),
    previousId: text.optional().describe('the backup whose chunks were used again'),
    components: z.array(
      z.strictObject({
        name: text,
        kind: text,
        serverVersion: text.optional(),
        durationMs,
        flaws: flaws.optional(),
        summary: text.optional(),
        ...sizes,
      }),
    ),
    warnings: texts,
    hold: z.strictObject({ reason: text, until: time }).optional().describe('with --pre-deploy: kept until then'),
    undo: z
      .strictObject({ command: text, argv: texts })
      .optional()
      .describe('with --pre-deploy: what brings all of it back, as a line for a shell and as a list'),
  }),
  document('backup', { outcome: z.literal('skipped'), target: text, reason: text }),
  document('backup', {
    outcome: z.literal('planned'),
    target: text,
    type: backupType,
    repository: text,
    components: z.array(
      z.strictObject({
        name: text,
        kind: text,
        serverVersion: text.optional(),
        identity: z.record(text, text),
        estimatedBytes: size.optional(),
        problems: z.array(z.strictObject({ message: text, hint: text, fatal: z.boolean() })),
      }),
    ),
  }),
]);

const damagedObjects = z.array(z.strictObject({ object: text, problem: text }));

const summary = z.strictObject({
  id: text,
  target: text,
  type: backupType,
  label: text.optional(),
  tags: texts,
  host: text,
  startedAt: time,
  finishedAt: time,
  components: texts,
  encrypted: z.boolean(),
  trust: z
    .enum(['authentic', 'unsigned', 'untrusted', 'unchecked'])
    .describe('whether a writer that is trusted made it'),
  warnings: z.int(),
  flaw: text.optional().describe('of a damaged source: what is wrong with it; it is never latest'),
  hold: z
    .strictObject({ since: time, reason: text, until: time.optional().describe('default: until it is released') })
    .optional()
    .describe('kept whatever the policy says'),
  standing: standing.optional(),
  ...sizes,
});

const list = document('list', {
  repository: text,
  backups: z.array(summary).describe('oldest first'),
  damaged: z.array(z.strictObject({ object: text, reason: text })),
});

const shownComponent = z.strictObject({
  name: text,
  kind: text,
  serverVersion: text.optional(),
  startedAt: time,
  finishedAt: time,
  flaws: flaws.optional(),
  artifacts: z.array(z.strictObject({ name: text, mediaType: text, bytes: size, chunks: z.int() })),
  facts: facts.optional(),
  ...sizes,
});

const shownEvidence = z.strictObject({
  object: text,
  at: time,
  level: text,
  result: z.enum(['ok', 'failed']),
  reason: text.optional().describe('why it does not count'),
  durationMs: durationMs.optional(),
  bytes: size.optional(),
  counts: counts.optional(),
  compared: texts.optional(),
  steps: z.array(z.strictObject({ name: text, durationMs, bytes: size.optional() })).optional(),
  damaged: damagedObjects.optional(),
  isolation: text.optional().describe('of the throwaway servers: namespaces, user, or none'),
});

const show = document('show', {
  repository: text,
  backup: summary,
  versions: z.record(text, text),
  previousId: text.optional(),
  dataKey: text.optional(),
  components: z.array(shownComponent),
  evidence: z.array(shownEvidence),
});

export const backupDocuments = { backup, list, show };
