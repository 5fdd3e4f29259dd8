/** The sections of the configuration file that say what is protected, and how long its backups are kept. */
import { z } from 'zod';
import { quiesceSchema, targetHooksSchema } from './schema-hooks.ts';
import { path, positive, secondsOfWaiting, secretSchema, texts } from './schema-pieces.ts';

/** Names of targets. */
export const targetNamePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** What PostgreSQL takes for one: a file of its own, whose name also holds versions behind "--". */
const extensionNamePattern = /^(?!-)(?!.*--)[^\s/\\\p{Cc}"']{1,63}(?<!-)$/u;

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

/** How long backups are kept, component by component. */
export const retentionSchema = z
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

/** One target. */
export const targetSchema = z
  .strictObject({
    postgres: z
      .strictObject({
        url: secretSchema.describe('postgres://user:password@host:port/database'),
        databases: texts
          .min(1)
          .optional()
          .describe(
            'names, or ["*"] for all that take connections, but template1; default: the one of the URL, else all',
          ),
        bigTableMiB: positive
          .default(256)
          .describe('tables larger than this are dumped side by side with the rest, in MiB'),
        lockWaitTimeoutSeconds: secondsOfWaiting
          .default(60)
          .describe('for how long a dump tries to get its locks, in seconds; at most a week'),
        trustedExtensions: z
          .array(z.string().regex(extensionNamePattern, 'must be the name of an extension'))
          .default([])
          .describe(
            'extensions whose functions in C a query of lifeboat may run, besides those of PostgreSQL itself: tables ' +
              'that use them (such as those of "postgis") are counted by a query, and not by COPY, which is slower',
          ),
        yieldToDdl: z
          .boolean()
          .default(false)
          .describe('begin a dump anew whenever a session waits for it to change a table (ALTER TABLE, TRUNCATE, …)'),
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
    hooks: targetHooksSchema
      .optional()
      .describe('programs that are run before and after, inside those of the general section'),
    quiesce: quiesceSchema
      .optional()
      .describe('what brings the application to rest until its state is held, and lets it go on; lifeboat-hooks(7)'),
    retention: retentionSchema.optional().describe('overrides the general retention, component by component'),
  })
  .refine(
    (target) => target.postgres !== undefined || target.redis !== undefined || target.files !== undefined,
    'protects nothing: give it "postgres", "redis" or "files"',
  );
