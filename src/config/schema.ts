/**
 * The configuration file as people write it, key by key: what it means, its unit, its default. The
 * JSON Schema for editors and the page lifeboat.config(5) are made from this; the larger sections have
 * files of their own (schema-*.ts). Values are not trusted yet and secrets are still references; parse.ts
 * turns a document into a Config.
 */
import { z } from 'zod';
import { emergencySchema } from './schema-emergency.ts';
import { hooksSchema } from './schema-hooks.ts';
import { metricsSchema } from './schema-metrics.ts';
import { notificationsSchema } from './schema-notifications.ts';
import { path, positive, secondsOfWaiting, secretSchema } from './schema-pieces.ts';
import { compressionSchema, encryptionSchema, repositorySchema } from './schema-repository.ts';
import { schedulesSchema } from './schema-schedules.ts';
import { retentionSchema, targetNamePattern, targetSchema } from './schema-targets.ts';

const drillSchema = z.strictObject({
  databaseUrl: secretSchema
    .optional()
    .describe(
      'scratch PostgreSQL server for drills of logical backups, as a superuser; databases are made there and ' +
        'dropped again; default: a throwaway server on this machine. A base backup always gets a throwaway cluster ' +
        'on this machine',
    ),
  isolation: z
    .enum(['auto', 'none'])
    .default('auto')
    .describe(
      'auto: throwaway servers run in namespaces (bubblewrap), since they run code of whoever owns a database; where ' +
        'there are none and no user is named, drills are refused. none: they run where that code can read what ' +
        'lifeboat can, and the evidence says so',
    ),
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]*$/, 'must be the name of a system user')
    .optional()
    .describe('system user that nothing else uses; for throwaway servers of root where there are no namespaces'),
});

const toolsSchema = z.strictObject({
  postgresBin: path
    .optional()
    .describe(
      "folder with PostgreSQL's programs (pg_dump, pg_restore, psql…), taken where they fit the server; default: the " +
        'folders of packages, then PATH',
    ),
  redisBin: path
    .optional()
    .describe("folder with Redis' or Valkey's programs, which comes before PATH; default: PATH alone"),
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
    maxConcurrentBackups: positive
      .default(2)
      .describe('backups into the repository at the same time; jobs of a daemon, whatever they do'),
    hangTimeoutSeconds: secondsOfWaiting
      .default(600)
      .describe('so long without a byte moved is "hung" and ends the backup, in seconds; at most a week'),
    maxBackupSizeMb: positive.optional().describe('refuse a backup that would store more, in 10^6 bytes'),
    stateDir: path
      .optional()
      .describe('where this host keeps its state; default: /var/lib/lifeboat for root, else $XDG_STATE_HOME/lifeboat'),
    logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('how much is told'),
    logFormat: z
      .enum(['text', 'json'])
      .optional()
      .describe('lines for people, or one JSON object a line; default: text, but for a daemon without a terminal json'),
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
    schedules: schedulesSchema.default([]).describe('what runs when'),
    hooks: hooksSchema.prefault({}).describe('programs that are run before and after; lifeboat-hooks(7)'),
    preDeploy: z
      .strictObject({
        keepDays: positive.max(3650).default(14).describe('so long backup --pre-deploy keeps what it has made'),
      })
      .prefault({})
      .describe('backups before deployments'),
    notifications: notificationsSchema.prefault({}).describe('who is told when something is wrong'),
    metrics: metricsSchema.prefault({}).describe('what monitoring systems get'),
    drill: drillSchema.prefault({}).describe('how backups are proven'),
    tools: toolsSchema.prefault({}).describe("where the servers' programs are"),
    monitoring: monitoringSchema.prefault({}).describe('from when on status warns'),
    emergency: emergencySchema.prefault({}).describe('what an emergency restore and the runbook need to know'),
  })
  .meta({ title: 'Configuration of lifeboat' });

/** A document that fits the schema, defaults filled in, secrets still references. */
export type Settings = z.infer<typeof settingsSchema>;
export type SecretReference = z.infer<typeof secretSchema>;
export type RetentionSettings = z.infer<typeof retentionSchema>;
