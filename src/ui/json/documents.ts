/**
 * Every document that --json prints, as a schema: published for programs that read them, and what the
 * tests hold the documents against. Times are RFC 3339 in UTC, sizes bytes. Not loaded when a command runs.
 */
import { z } from 'zod';
import { evidenceLevels } from '../../repository/backups/evidence-record.ts';
import { pitrDocuments } from './pitr-documents.ts';
import { statusWal } from './status-documents.ts';
import { walDocuments } from './wal-documents.ts';

const time = z.iso.datetime();
const size = z.int().nonnegative();
const text = z.string();
const texts = z.array(text);
const component = z.enum(['database', 'redis', 'files', 'base']);
const backupType = z.enum(['full', ...component.options]);
const sizes = {
  readBytes: size.describe('bytes read from the source'),
  newBytes: size.describe('plain bytes that were not in the repository before'),
  storedBytes: size.describe('what they took there'),
};
const durationMs = z.number().nonnegative();
const facts = z.json().describe('what was recorded of the content; the shape depends on the kind');

function document<S extends z.core.$ZodLooseShape>(command: string, shape: S) {
  return z.strictObject({ schema: z.literal(`lifeboat.${command}/v1`), ...shape });
}

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
        summary: text.optional(),
        ...sizes,
      }),
    ),
    warnings: texts,
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

const milestone = z
  .strictObject({ at: time, durationMs, level: z.enum(evidenceLevels), object: text })
  .describe('when this was last found, how long it took, and the evidence');

const standing = z
  .strictObject({
    state: z.enum(['stored', 'checked', 'decoded', 'proven']),
    checked: milestone.optional(),
    decoded: milestone.optional(),
    proven: milestone.optional(),
    lastFailure: milestone.optional(),
    failing: z.boolean().describe('the last failure was not followed by a success that would have found the same'),
    restored: milestone.optional().describe('a real restore that verified well'),
    recovered: milestone.optional().describe('a recovery to a moment behind it that a drill has proven'),
  })
  .describe('how far it has been proven; absent where no key can tell');

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
  hold: z.strictObject({ since: time, reason: text }).optional().describe('kept whatever the policy says'),
  standing: standing.optional(),
  ...sizes,
});

const list = document('list', {
  repository: text,
  backups: z.array(summary).describe('oldest first'),
  damaged: z.array(z.strictObject({ object: text, reason: text })),
});

const show = document('show', {
  repository: text,
  backup: summary,
  versions: z.record(text, text),
  previousId: text.optional(),
  dataKey: text.optional(),
  components: z.array(
    z.strictObject({
      name: text,
      kind: text,
      serverVersion: text.optional(),
      startedAt: time,
      finishedAt: time,
      artifacts: z.array(z.strictObject({ name: text, mediaType: text, bytes: size, chunks: z.int() })),
      facts: facts.optional(),
      ...sizes,
    }),
  ),
  evidence: z.array(
    z.strictObject({
      object: text,
      at: time,
      level: text,
      result: z.enum(['ok', 'failed']),
      reason: text.optional().describe('why it does not count'),
      durationMs: durationMs.optional(),
      bytes: size.optional(),
      counts: z.record(text, z.int()).optional(),
      compared: texts.optional(),
      steps: z.array(z.strictObject({ name: text, durationMs, bytes: size.optional() })).optional(),
      damaged: damagedObjects.optional(),
    }),
  ),
});

const damage = z.strictObject({
  object: text,
  kind: z.enum(['missing', 'size', 'damaged', 'content']),
  problem: text,
  backups: z
    .array(
      z.strictObject({
        id: text,
        whole: z.boolean().describe('none of it can be restored'),
        artifacts: z
          .array(
            z.strictObject({
              component: text,
              name: text,
              contents: texts.describe('databases and tables, Redis databases or files: the first hundred'),
              contentCount: z.int(),
            }),
          )
          .describe('those that cannot be read whole'),
      }),
    )
    .describe('every backup that uses the object'),
});

const validate = document('validate', {
  repository: text,
  level: z.enum(['quick', 'stored', 'deep']),
  startedAt: time,
  durationMs,
  backups: z.array(
    z.strictObject({
      id: text,
      target: text,
      result: z.enum(['ok', 'failed', 'unchecked']),
      evidence: text.optional().describe('the object that records it'),
    }),
  ),
  counts: z.record(text, z.int()),
  bytes: size.describe('read from the repository'),
  sample: z.strictObject({ part: z.int(), parts: z.int() }).optional(),
  damaged: z.array(damage),
  warnings: texts,
});

const counted = z.strictObject({ count: z.int(), bytes: size, first: texts });

const integrity = document('integrity', {
  repository: text,
  startedAt: time,
  durationMs,
  objects: z.record(text, z.strictObject({ count: z.int(), bytes: size })).describe('by kind'),
  orphans: counted.describe('named by no manifest and older than the grace time'),
  young: counted.describe('named by no manifest, but a running backup may need them'),
  findings: z.array(
    z.strictObject({
      kind: z.enum([
        'missing',
        'size',
        'damaged',
        'content',
        'chain',
        'rollback',
        'stray',
        'untrusted',
        'differs',
        'stale',
      ]),
      weight: z.enum(['fault', 'warning']),
      object: text,
      problem: text,
      backups: texts.describe('ids of backups that it touches'),
    }),
  ),
  counts: z.record(text, z.int()).describe('all findings, by kind'),
  warnings: texts,
});

const optionalSize = size.optional();
const optionalMs = durationMs.optional();

const status = document('status', {
  repository: text,
  at: time,
  verdict: z.enum(['healthy', 'degraded', 'unhealthy']),
  reasons: z
    .array(
      z.strictObject({
        id: text.describe('stable: for acknowledge'),
        weight: z.enum(['degraded', 'unhealthy']),
        target: text.optional(),
        message: text,
        next: text.describe('the command to run next'),
        acknowledged: z
          .strictObject({ at: time, by: text, reason: text })
          .optional()
          .describe('it is meant to be, and does not count'),
      }),
    )
    .describe('unhealthy first'),
  next: text.optional(),
  targets: z.array(
    z.strictObject({
      name: text,
      components: z.array(
        z.strictObject({
          name: text,
          newestId: text.optional(),
          takenAt: time.optional(),
          ageMs: z.number().optional(),
          schedules: texts.optional().describe('those that are to back it up; absent where there is none'),
          dueAt: time.optional().describe('when one of them should have begun last, an hour ago or earlier'),
          nextAt: time.optional(),
        }),
      ),
      newest: z
        .strictObject({
          id: text,
          takenAt: time,
          ageMs: z.number(),
          state: text.optional().describe('stored, checked, decoded or proven'),
          standing: standing.optional(),
        })
        .optional(),
      newestProven: z.strictObject({ id: text, provenAt: time }).optional(),
      provenMoment: z
        .strictObject({ id: text, moment: time, provenAt: time, restoreMs: durationMs, object: text })
        .optional()
        .describe('the recovery to a moment that a drill has proven last'),
      restoreTime: z
        .strictObject({
          ms: durationMs,
          basis: z.enum(['measured', 'assumed']),
          ofBackup: text.optional(),
          measuredAt: time.optional(),
          steps: z
            .array(z.strictObject({ name: text, durationMs }))
            .optional()
            .describe('what the parts of the measured restore took'),
          assumption: text.optional(),
        })
        .optional(),
      moments: z
        .array(
          z.strictObject({
            id: text,
            at: time,
            components: texts,
            state: text.optional(),
            isDamaged: z.boolean().optional(),
          }),
        )
        .describe('what can be restored, newest first'),
      analytics: z.strictObject({
        days: z.int(),
        successes: z.int(),
        failures: z.int().describe('those that this host knows of'),
        successRate: z.number().optional().describe('0 to 1'),
        averageReadBytes: optionalSize,
        averageStoredBytes: optionalSize,
        averageDurationMs: optionalMs,
        backups: z.int().describe('all that are there'),
        readBytes: size,
        storedBytes: size,
        ratio: z.number().optional().describe('bytes protected for each byte stored'),
      }),
    }),
  ),
  running: z.array(
    z.strictObject({ scope: text, command: text, host: text, user: text, since: time, isAlive: z.boolean() }),
  ),
  wal: z.array(statusWal).describe('write-ahead log, by cluster'),
  storage: z.strictObject({
    storedBytes: size,
    freeBytes: optionalSize,
    capacityBytes: optionalSize,
    budgetBytes: optionalSize,
    packBytes: optionalSize.describe('all packs that backups use; absent where that cannot be told in passing'),
    deadBytes: optionalSize.describe('at most so much of them is needed by no backup'),
  }),
});

const drill = document('drill', {
  repository: text,
  startedAt: time,
  durationMs,
  backups: z.array(
    z.strictObject({
      id: text,
      target: text,
      result: z
        .enum(['proven', 'failed', 'impossible'])
        .describe('impossible: it could not be tried for want of a tool, an extension or space'),
      durationMs,
      moment: time.optional().describe('with --pitr: what was recovered to'),
      seed: text.optional().describe('with --pitr: chose the moment'),
      restoreMs: durationMs.describe('what restoring took, without starting servers and comparing'),
      components: z.array(
        z.strictObject({
          name: text,
          kind: text,
          result: z.enum(['equal', 'failed', 'impossible']),
          durationMs,
          bytes: size.describe('read from the repository'),
          steps: z.array(z.strictObject({ name: text, durationMs })),
          counts: z.record(text, z.int()).describe('of what was compared'),
          versions: z.record(text, text).describe('of the throwaway servers'),
          summary: text.optional(),
          problems: texts.describe('what differs, or why it was not possible'),
          code: text.optional().describe('of the first problem, as in error documents'),
          hint: text.optional(),
          notes: texts,
        }),
      ),
      evidence: text.optional().describe('the object that records it'),
    }),
  ),
  warnings: texts,
});

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

const passedOver = z.array(z.strictObject({ id: text, reason: text })).describe('newer backups that are not whole');
const backupState = z.enum(['stored', 'checked', 'decoded', 'proven']);

const emergencyStatus = document('emergency-status', {
  repository: text,
  targets: z.array(
    z.strictObject({
      target: text,
      components: z.array(
        z.strictObject({
          component,
          id: text.optional().describe('absent where no backup is whole'),
          takenAt: time.optional(),
          ageMs: durationMs.optional(),
          state: backupState.optional(),
          provenAt: time.optional(),
          expectedMs: durationMs.optional().describe('measured by a drill or a restore'),
          bytes: size.optional(),
          passedOver,
        }),
      ),
      unfinished: z
        .strictObject({
          id: text,
          startedAt: time,
          journal: text,
          pid: z.int().optional().describe('the process that is at it; absent: it was interrupted'),
          done: texts.describe('steps'),
          left: texts.describe('steps'),
        })
        .optional(),
    }),
  ),
  warnings: texts,
});

const emergencyStep = z.enum([
  'safety-backup',
  'stop-services',
  'restore-database',
  'restore-redis',
  'restore-files',
  'start-services',
  'check',
]);

const plannedEmergency = z.strictObject({
  id: text,
  seal: text,
  target: text,
  repository: text,
  host: text,
  createdAt: time,
  takenAt: time,
  state: backupState.optional(),
  provenAt: time.optional(),
  passedOver,
  components: z.array(component),
  databases: texts.optional(),
  roots: texts.optional(),
  live: z.array(
    z.strictObject({
      component,
      where: text,
      reachable: z.boolean(),
      problem: text.optional(),
      holds: text,
      hasData: z.boolean(),
      systemIdentifier: text.optional(),
      bytes: size.optional(),
      lastWriteAt: text.optional(),
      freeBytes: size.optional(),
    }),
  ),
  mismatches: texts.describe('why this may be the wrong place'),
  losses: texts.describe('what is written there now and is not in the backup'),
  needs: z.array(z.strictObject({ component, neededBytes: size, freeBytes: size.optional() })),
  isNewest: z.boolean().describe('the newest whole backup was asked for, not one by its id'),
  expectedMs: durationMs.optional().describe('from what was measured'),
  measured: z
    .strictObject({ id: text, at: time, ms: durationMs })
    .optional()
    .describe('the drill or restore that it is reckoned from'),
  steps: z.array(z.strictObject({ name: emergencyStep, title: text })),
  withGlobals: z.boolean(),
  forced: z.boolean(),
  safetyBackup: z.boolean(),
  confirmName: text.describe('what --confirm must say'),
});

const emergencyRestore = z.discriminatedUnion('outcome', [
  document('emergency-restore', {
    outcome: z.literal('planned'),
    id: text,
    target: text,
    plan: plannedEmergency,
    lines: texts.describe('the plan in sentences'),
    planFile: text.optional(),
    warnings: texts,
  }),
  document('emergency-restore', {
    outcome: z.literal('done'),
    id: text,
    target: text,
    startedAt: time,
    durationMs,
    steps: z.array(
      z.strictObject({
        name: emergencyStep,
        title: text,
        state: z.enum(['pending', 'running', 'done', 'skipped', 'failed']),
        startedAt: time.optional(),
        finishedAt: time.optional(),
        notes: texts,
      }),
    ),
    safetyBackupId: text.optional(),
    journal: text.describe('file with all of it'),
    warnings: texts,
  }),
]);

/** By the name in `schema` (without `lifeboat.` and `/v1`). */
export const documents = {
  ...walDocuments,
  ...pitrDocuments,
  error,
  backup,
  list,
  show,
  validate,
  integrity,
  drill,
  status,
  acknowledge: document('acknowledge', {
    warning: text.describe('the id that status gives it'),
    message: text,
    reason: text,
  }),
  restore,
  'restore-undo': document('restore-undo', { outcome: z.enum(['done', 'planned']), database: text, setAside: text }),
  export: document('export', {
    id: text,
    folder: text,
    files: z.array(z.strictObject({ path: text, component: text, bytes: size, sha256: text })),
    warnings: texts,
  }),
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
  cleanup: document('cleanup', {
    outcome: z.enum(['done', 'planned']),
    repository: text,
    graceMs: durationMs.describe('how long deleted backups can be taken back'),
    backups: z
      .array(
        z.strictObject({
          id: text,
          target: text,
          type: backupType,
          startedAt: time,
          keep: z.boolean(),
          reasons: texts,
          bytes: size.optional().describe('what no other backup needs; of those that go'),
        }),
      )
      .describe('oldest first; those that are not kept are in trash, or would be'),
    deleted: z.array(z.strictObject({ id: text, seal: text })).describe('gone for good: their grace time had passed'),
    freed: z.strictObject({ packs: z.int(), bytes: size }),
    laterBytes: size.describe('what will be freed when all that is in trash has passed its grace time'),
    retained: z
      .array(z.strictObject({ object: text, until: time.optional() }))
      .describe('what nobody needs, but object lock retains; without a time: a legal hold'),
    wal: z
      .array(
        z.strictObject({
          systemId: text,
          targets: texts.describe('whose base backups can replay it'),
          from: time.optional().describe('the earliest moment that could be recovered before; absent: none'),
          becomes: time.optional().describe('the earliest moment that can be recovered afterwards; absent: none'),
          segments: z.int().describe('what goes now'),
          bytes: size.describe('what goes now; also in "freed"'),
          laterSegments: z.int().describe('what goes when the base backups in trash are gone for good'),
          laterBytes: size,
          stays: text.optional().describe('why all of it stays'),
        }),
      )
      .describe('write-ahead log, by cluster'),
    hidden: z
      .array(z.strictObject({ id: text, hiddenAt: time }))
      .describe(
        'backups under a delete marker that lifeboat did not set: all that they need stays; undelete shows them again',
      ),
    stopped: text.optional().describe('why no space was freed'),
    warnings: texts,
  }),
  undelete: document('undelete', { id: text, target: text, held: z.boolean(), warnings: texts }),
  hold: document('hold', {
    id: text,
    target: text,
    held: z.boolean(),
    reason: text.optional(),
    tags: texts,
    warnings: texts,
  }),
  release: document('release', {
    id: text,
    target: text,
    held: z.boolean(),
    reason: text.optional(),
    tags: texts,
    warnings: texts,
  }),
  audit: document('audit', {
    repository: text,
    records: z
      .array(
        z.strictObject({
          object: text,
          number: z.int(),
          host: text,
          user: text,
          uid: z.int(),
          command: text,
          target: text.optional(),
          ids: texts.describe('backups that it made or worked on'),
          outcome: z.enum(['ok', 'failed']),
          exitCode: z.int(),
          startedAt: time,
          finishedAt: time,
          arguments: z
            .record(text, z.json())
            .optional()
            .describe('what was asked for, without secrets; absent where no key opens it'),
          message: text.optional().describe('of a failure'),
          step: text.optional(),
          deleted: z
            .array(z.strictObject({ id: text, seal: text }))
            .optional()
            .describe('backups that were deleted for good'),
        }),
      )
      .describe('oldest first'),
    findings: z.array(
      z.strictObject({
        kind: z.enum(['missing', 'damaged', 'broken', 'cut', 'untrusted']),
        weight: z.enum(['fault', 'warning']),
        object: text,
        problem: text,
      }),
    ),
    total: z.int().describe('all records that there are, chosen or not'),
  }),
  'emergency-status': emergencyStatus,
  'emergency-restore': emergencyRestore,
  runbook: document('runbook', { text: text.describe('Markdown'), file: text.optional(), warnings: texts }),
  unlock: document('unlock', { broken: z.array(lease), alive: z.array(lease) }),
  'config-show': document('config-show', {
    file: text.optional(),
    values: z.array(z.strictObject({ path: text, value: z.json(), origin: text, secret: z.literal(true).optional() })),
    warnings: texts,
  }),
  completion: document('completion', { shell: z.enum(['bash', 'zsh', 'fish']), script: text }),
  version: document('version', { lifeboat: text, node: text, platform: text, repositoryFormat: z.int() }),
} as const;

export type DocumentName = keyof typeof documents;

/** The JSON Schema (draft 2020-12) of one document. */
export function documentJsonSchema(name: DocumentName): Record<string, unknown> {
  return { ...z.toJSONSchema(documents[name]), title: `Document lifeboat.${name}/v1` };
}
