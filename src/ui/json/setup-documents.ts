/** The documents of setting up and looking after a repository, and that of an error; see documents.ts. */
import { z } from 'zod';
import { document, text, texts, time } from './shapes.ts';

const error = document('error', {
  code: text.describe(
    'usage, not_found, locked, key, source, integrity, space, tool, ' +
      'window, confirmation, stale, storage, aborted or bug',
  ),
  exitCode: z.int(),
  message: text,
  hint: text.optional().describe('what to do next'),
  state: text.optional().describe('what state things are in'),
  retryable: z.boolean().describe('the same call may succeed later without a change'),
  facts: z.record(text, z.unknown()).optional(),
});

const lease = z.strictObject({
  scope: text,
  id: text,
  command: text,
  host: text,
  pid: z.int(),
  user: text,
  since: time,
  stale: z.boolean(),
});

export const setupDocuments = {
  error,
  init: document('init', {
    repository: text,
    repositoryId: text,
    created: texts,
    configPath: text.optional(),
    keyFile: text.optional(),
    encrypted: z.boolean(),
    rescueSha256: text,
    publicKey: text.optional(),
    nextSteps: texts,
    warnings: texts,
  }),
  'keys-generate': document('keys-generate', {
    kind: z.enum(['raw', 'age']),
    key: text.optional(),
    file: text.optional(),
    recipient: text.optional(),
  }),
  'keys-list': document('keys-list', {
    repository: text,
    keys: z.array(
      z.strictObject({ id: text, createdAt: time, recipients: texts, opens: z.boolean(), current: z.boolean() }),
    ),
    warnings: texts,
  }),
  'keys-change': document('keys-change', {
    changed: texts,
    unchanged: texts,
    current: text.optional(),
    warnings: texts,
  }),
  doctor: document('doctor', {
    checks: z.array(
      z.strictObject({
        name: text,
        ok: z.enum(['ok', 'warn', 'fail']),
        message: text,
        hint: text.optional(),
        code: text.optional(),
      }),
    ),
  }),
  unlock: document('unlock', { broken: z.array(lease), alive: z.array(lease) }),
  'config-show': document('config-show', {
    file: text.optional(),
    values: z.array(z.strictObject({ path: text, value: z.json(), origin: text, secret: z.literal(true).optional() })),
    warnings: texts,
  }),
  completion: document('completion', { shell: z.enum(['bash', 'zsh', 'fish']), script: text }),
  version: document('version', { lifeboat: text, node: text, platform: text, repositoryFormat: z.int() }),
};
