/**
 * The configuration file as people write it, key by key: what it means, its unit, its default. The
 * JSON Schema for editors and the page lifeboat.config(5) are made from this. Values are not trusted
 * yet and secrets are still references; parse.ts turns a document into a Config.
 */
import { z } from 'zod';
import { parseCron } from '../lib/cron.ts';
import { messageOf } from '../lib/errors.ts';
import { compressionMethods } from './compression.ts';

const secretForms = 'must be a text, {"env": NAME}, {"file": PATH} or {"command": [PROGRAM, ARGUMENT…]}';

/** A secret value: the text itself, or where to get it. */
export const secretSchema = z
  .union(
    [
      z.string().min(1),
      z.strictObject({ env: z.string().min(1).describe('name of an environment variable') }),
      z.strictObject({ file: z.string().min(1).describe('path of a file; one line end at its end is dropped') }),
      z.strictObject({
        command: z
          .array(z.string())
          .min(1)
          .describe('program and arguments, started without a shell; what it prints is the value'),
      }),
    ],
    { error: secretForms },
  )
  .meta({ id: 'secret', description: 'a text, {"env": NAME}, {"file": PATH} or {"command": [PROGRAM, ARGUMENT…]}' });

const positive = z.number().int().min(1);
/** A limit that is longer limits nothing, and PostgreSQL's timers hold no more than 24 days. */
const secondsOfWaiting = positive.max(604_800);
const path = z.string().min(1);
const texts = z.array(z.string().min(1));

const repositorySchema = z.union(
  [
    z.string().min(1).describe('file:///path or s3://bucket/prefix'),
    z.strictObject({
      url: z.string().min(1).describe('file:///path or s3://bucket/prefix'),
      region: z.string().min(1).optional().describe('S3 region; default: what the AWS default chain says'),
      endpoint: z
        .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
        .optional()
        .describe('URL of a compatible server'),
      pathStyle: z
        .boolean()
        .optional()
        .describe('bucket in the path instead of the host name; default: true with an endpoint, else false'),
      storageClass: z.string().min(1).optional().describe('storage class of new objects'),
      serverSideEncryption: z.enum(['AES256', 'aws:kms']).optional().describe('x-amz-server-side-encryption header'),
      kmsKeyId: z.string().min(1).optional().describe('key for aws:kms'),
      objectLock: z
        .strictObject({
          days: positive
            .max(36_500)
            .describe(
              'so many days from its beginning nobody can delete what belongs to a backup; cleanup deletes it later',
            ),
          mode: z
            .enum(['governance', 'compliance'])
            .default('compliance')
            .describe('governance: who has the right to bypass it can; compliance: nobody can'),
        })
        .optional()
        .describe('retain backups by object lock, in a bucket that was made with it; default: not'),
      accessKey: secretSchema.optional().describe('access key id; without keys the AWS default chain'),
      secretKey: secretSchema.optional().describe('secret access key'),
      sessionToken: secretSchema.optional().describe('token of temporary credentials'),
    }),
  ],
  { error: 'must be a URL, or an object with "url"' },
);

const encryptionSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('encrypt all that is stored'),
  key: secretSchema.optional().describe('64 hex digits, base64 of 32 bytes, or a passphrase'),
  passphrase: secretSchema.optional().describe('always taken as a passphrase'),
  identity: secretSchema.optional().describe('an age identity (AGE-SECRET-KEY-1…), or a file of them'),
  recipients: z
    .array(z.string().regex(/^age1[0-9a-z]+$/, 'must be an age recipient (age1…)'))
    .default([])
    .describe('age recipients that can read new backups'),
  trustedKeys: z
    .array(z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'must be base64 of 32 bytes'))
    .default([])
    .describe('public keys of writers to trust, base64'),
});

const levels = { none: [0, 0], lz4: [0, 0], gzip: [1, 9], zstd: [1, 19] } as const;

const compressionSchema = z
  .strictObject({
    method: z.enum(compressionMethods).default('zstd').describe('how chunks are compressed'),
    level: z.number().int().optional().describe('gzip 1–9 (default 6), zstd 1–19 (default 3); lz4 and none have none'),
  })
  .superRefine(({ method, level }, context) => {
    const [low, high] = levels[method];
    if (level === undefined || (level >= low && level <= high)) return;
    const message = high === 0 ? `${method} has no levels` : `${method} has the levels ${low} to ${high}`;
    context.addIssue({ code: 'custom', path: ['level'], message });
  });

const retentionPolicySchema = z
  .strictObject({
    days: positive.optional().describe('keep backups younger than this many days'),
    keepLast: positive.optional().describe('keep this many newest'),
    keepHourly: positive.optional().describe('keep the newest of each of this many hours'),
    keepDaily: positive.optional().describe('keep the newest of each of this many days'),
    keepWeekly: positive.optional().describe('keep the newest of each of this many weeks'),
    keepMonthly: positive.optional().describe('keep the newest of each of this many months'),
    keepYearly: positive.optional().describe('keep the newest of each of this many years'),
    keepWithin: z
      .string()
      .regex(/^\d+(\.\d+)?[smhdw]$/, 'must be a duration such as 36h, 30d or 2w')
      .optional()
      .describe('keep all within this time, such as 36h, 30d or 2w'),
    minBackups: positive.default(3).describe('never fewer than this many'),
  })
  .meta({ id: 'retentionPolicy', description: 'what is kept: whatever one of the rules keeps' });

const retentionSchema = z
  .strictObject({
    database: retentionPolicySchema.optional().describe('default: 30 days'),
    redis: retentionPolicySchema.optional().describe('default: 7 days'),
    files: retentionPolicySchema.optional().describe('default: 30 days'),
    walDays: positive
      .optional()
      .describe(
        'keep write-ahead log this many days, and the base backup from which the oldest of it can be replayed; ' +
          'log that a kept base backup needs stays in any case',
      ),
  })
  .meta({ id: 'retention', description: 'by component; a backup of several lives as long as its longest-kept one' });

const targetSchema = z
  .strictObject({
    postgres: z
      .strictObject({
        url: secretSchema.describe('postgres://user:password@host:port/database'),
        databases: texts
          .min(1)
          .optional()
          .describe('names, or ["*"] for all of the server; default: the one of the URL, else all'),
        bigTableMiB: positive
          .default(256)
          .describe('tables larger than this are dumped side by side with the rest, in MiB'),
        lockWaitTimeoutSeconds: secondsOfWaiting
          .default(60)
          .describe('how long a dump waits for a lock, in seconds; at most a week'),
        base: z.strictObject({}).optional().describe('take physical backups too where all components are taken'),
      })
      .optional()
      .describe('the PostgreSQL server to protect'),
    redis: z
      .strictObject({
        url: secretSchema.describe('redis://user:password@host:port or rediss://…'),
        caFile: path.optional().describe('PEM file of the certificate authority'),
        certFile: path.optional().describe('PEM file of the client certificate'),
        keyFile: path.optional().describe('PEM file of its private key'),
        method: z
          .enum(['auto', 'replication', 'scan'])
          .default('auto')
          .describe('snapshot over replication, or SCAN and DUMP where that is refused'),
      })
      .optional()
      .describe('the Redis to protect'),
    files: z
      .strictObject({
        paths: texts.min(1).describe('folders or files, absolute or relative to the configuration file'),
        include: texts.default([]).describe('patterns of what to take; empty: everything'),
        exclude: texts.default([]).describe('patterns of what not to back up'),
      })
      .optional()
      .describe('the file trees to protect'),
    retention: retentionSchema.optional().describe('overrides the general retention, component by component'),
  })
  .refine(
    (target) => target.postgres !== undefined || target.redis !== undefined || target.files !== undefined,
    'protects nothing: give it "postgres", "redis" or "files"',
  );

const cronShape = /^(@\w+|\S+( +\S+){4,5})$/;

/** What has the shape is looked at closer. */
function checkCron(text: string, context: z.RefinementCtx<string>): void {
  if (!cronShape.test(text)) return;
  try {
    parseCron(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error), input: text });
  }
}

const scheduleSchema = z.strictObject({
  id: z.string().min(1).describe('unique name for commands'),
  name: z.string().min(1).optional().describe('for people; default: the id'),
  type: z.enum(['full', 'database', 'redis', 'files', 'base']).default('full').describe('what is backed up'),
  cronExpression: z
    .string()
    .regex(cronShape, 'must have five or six fields')
    .superRefine(checkCron)
    .describe('when, as in crontab, in the time zone of the host'),
  enabled: z.boolean().default(true),
  options: z.record(z.string(), z.unknown()).default({}).describe('flags of backup'),
});

const notificationsSchema = z.strictObject({
  webhook: secretSchema.optional().describe('URL that gets a JSON document'),
  slackWebhook: secretSchema.optional().describe('URL of a Slack webhook'),
  emailRecipients: z
    .array(z.string().regex(/^\S+@\S+$/, 'must be an e-mail address'))
    .default([])
    .describe('who gets alerts by mail'),
  smtpUrl: secretSchema.optional().describe('smtps://user:password@host:port'),
  pingUrl: secretSchema.optional().describe('URL that is called after each good backup'),
});

const minutes = z.number().int().min(1);

const emergencySchema = z.strictObject({
  stopServices: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      'program and arguments, started without a shell, that stop ' +
        'what writes to the targets before an emergency restore',
    ),
  startServices: z.array(z.string()).min(1).optional().describe('the same to start it again afterwards'),
  serviceTimeoutSeconds: secondsOfWaiting
    .default(600)
    .describe('either command is ended, with all that it has started, when it takes longer; at most a week'),
  contacts: z
    .array(
      z.strictObject({
        name: z.string().min(1).describe('who it is'),
        role: z.string().min(1).optional().describe('what for'),
        reach: z.string().min(1).describe('telephone number, address or place'),
      }),
    )
    .default([])
    .describe('who can help, in the order to call them; stands in the runbook'),
  escalation: texts.default([]).describe('whom to tell when, one sentence each; stands in the runbook'),
  scenarios: z
    .record(
      z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be a name: a-z, 0-9 and -'),
      z.strictObject({
        title: z.string().min(1).optional().describe('heading in the runbook'),
        rtoMinutes: minutes.optional().describe('everything must be back within so many minutes'),
        rpoMinutes: minutes.optional().describe('no more than so many minutes of writing may be lost'),
        steps: texts.min(1).optional().describe('what to do, one sentence each, in place of the usual steps'),
      }),
    )
    .default({})
    .describe(
      'changes the scenarios data-corruption (60 and 15 minutes), hardware-failure (120 and 60) and ' +
        'security-breach (30 and 5) of the runbook, or adds others',
    ),
});

const drillSchema = z.strictObject({
  databaseUrl: secretSchema
    .optional()
    .describe(
      'scratch PostgreSQL server for drills of logical backups, as a superuser; databases are made there and ' +
        'dropped again; default: a throwaway server on this machine. A base backup always gets a throwaway cluster ' +
        'on this machine',
    ),
});

const percent = z.number().min(1).max(100);

const monitoringSchema = z.strictObject({
  backupDelayHours: z
    .number()
    .positive()
    .default(25)
    .describe(
      'each component must have a backup younger than this many hours; one with a schedule is late from an hour ' +
        'after its moment on, and unhealthy once it is this old too',
    ),
  provenDelayDays: z
    .number()
    .positive()
    .default(35)
    .describe('a drill must have proven a backup within this many days'),
  failureRatePercent: percent.default(10).describe('so many failed runs in a hundred are too many'),
  storagePercent: percent.default(85).describe('so full may the file system, or the budget, become'),
  storageBudgetGb: z.number().positive().optional().describe('what all backups together may take, in 10^9 bytes'),
});

/** Names of targets. */
export const targetNamePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** The whole file. */
export const settingsSchema = z
  .strictObject({
    $schema: z.string().optional().describe('for editors; not read'),
    repository: repositorySchema.optional().describe('where backups rest'),
    encryption: encryptionSchema.prefault({}).describe('who can read them'),
    compression: compressionSchema.prefault({}).describe('how small they are'),
    jobs: z
      .number()
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe('streams side by side; default: the number of cores, at most 4'),
    maxConcurrentBackups: positive.default(2).describe('backups into the repository at the same time'),
    hangTimeoutSeconds: secondsOfWaiting
      .default(600)
      .describe('so long without a byte moved is "hung" and ends the backup, in seconds; at most a week'),
    maxBackupSizeMb: positive.optional().describe('refuse a backup that would store more, in 10^6 bytes'),
    stateDir: path
      .optional()
      .describe('where this host keeps its state; default: /var/lib/lifeboat for root, else $XDG_STATE_HOME/lifeboat'),
    logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('how much is told'),
    envFile: path.optional().describe('file of NAME=value lines that are read as if they stood in the environment'),
    targets: z
      .record(
        z.string().regex(targetNamePattern, 'must be a target name: a-z, 0-9 and -, at most 63, not beginning with -'),
        targetSchema,
      )
      .refine((targets) => Object.keys(targets).length > 0, 'names no target')
      .optional()
      .describe('what is backed up together, by name; default: one target "main" made from the environment'),
    retention: retentionSchema.prefault({}).describe('how long backups are kept'),
    trashHours: z
      .number()
      .min(1)
      .max(87_600)
      .default(24)
      .describe(
        'how long deleted backups can be taken back, and what nobody needs rests before it goes, in hours; at least 1',
      ),
    schedules: z.array(scheduleSchema).default([]).describe('when backups are taken'),
    notifications: notificationsSchema.prefault({}).describe('who is told'),
    drill: drillSchema.prefault({}).describe('how backups are proven'),
    monitoring: monitoringSchema.prefault({}).describe('from when on status warns'),
    emergency: emergencySchema.prefault({}).describe('what an emergency restore and the runbook need to know'),
  })
  .meta({ title: 'Configuration of lifeboat' });

/** A document that fits the schema, defaults filled in, secrets still references. */
export type Settings = z.infer<typeof settingsSchema>;
export type SecretReference = z.infer<typeof secretSchema>;
export type RetentionSettings = z.infer<typeof retentionSchema>;
