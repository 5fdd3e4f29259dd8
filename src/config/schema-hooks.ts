/** The sections of the configuration file with programs of the operator's around backups, restores and cleanups. */
import { z } from 'zod';
import { secondsOfWaiting } from './schema-pieces.ts';

const argv = z
  .array(z.string())
  .min(1)
  .describe('program and arguments, started without a shell, in the folder of the configuration file');

const timeoutSeconds = secondsOfWaiting
  .default(300)
  .describe('it is ended, with all that it has started, when it takes longer; at most a week');

const env = z
  .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable'))
  .default([])
  .describe(
    'variables that it gets besides PATH, HOME, TZ, TMPDIR and LIFEBOAT_*; those that are not set are left out',
  );

const after = z.strictObject({ command: argv, timeoutSeconds, env });

const before = after.extend({
  onFailure: z
    .enum(['stop', 'warn'])
    .default('stop')
    .describe('stop: nothing is done, and the run ends with 16; warn: it goes on, and ends with 3'),
});

const around = (what: string): z.ZodOptional<typeof aroundSchema> =>
  aroundSchema.optional().describe(`before and after ${what}`);

const aroundSchema = z.strictObject({
  before: z.array(before).default([]).describe('one after another; the first that fails is the last that is run'),
  after: z
    .array(after)
    .default([])
    .describe('one after another, whatever became of the run and of each other; one that fails is a warning'),
});

const ofTargets = {
  backup: around('each backup that is made, those before a restore too'),
  restore: around('lifeboat restore, but not --undo'),
  pitr: around('lifeboat pitr, but not --check'),
};

/** For each operation. */
export const hooksSchema = z.strictObject({ ...ofTargets, cleanup: around('lifeboat cleanup') });

/** Of one target: inside those for all. */
export const targetHooksSchema = z.strictObject(ofTargets);

/** What holds an application still. */
export const quiesceSchema = z.strictObject({
  begin: argv.describe('program and arguments that bring the application to rest; when it fails, no backup is made'),
  end: argv.describe(
    'program and arguments that let it go on; always run, by the next run if this one is killed: it must do no harm ' +
      'where nothing rests',
  ),
  timeoutSeconds,
  env,
});

export type HooksSettings = z.infer<typeof hooksSchema>;
export type QuiesceSettings = z.infer<typeof quiesceSchema>;
