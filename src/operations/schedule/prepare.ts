/**
 * From a schedule to the operation that it stands for: its options are that command's flags. Each operation is loaded
 * only where its schedule runs.
 */
import type { Schedule } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { SecretNeeds } from '../../config/parser.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { BackupOptions } from '../backup/request.ts';
import type { Operation, Surroundings } from '../operation.ts';
import { exitCodeOfResult, perform, type PerformContext } from '../perform.ts';

/** What a schedule stands for, ready to run. */
export interface PreparedRun {
  readonly need: SecretNeeds;
  /** Rejects as the operation does. `tags`: put on a backup besides its own. */
  readonly run: (loaded: LoadedConfig, context: PerformContext, tags?: readonly string[]) => Promise<PreparedAnswer>;
}

export interface PreparedAnswer {
  readonly answer: object;
  /** That of its command. */
  readonly exitCode: number;
}

/** Loads the operation. */
export async function prepareRun(schedule: Schedule): Promise<PreparedRun> {
  const { options, type } = schedule;
  const { target } = options;
  switch (type) {
    case 'validate': {
      const { validateOperation } = await import('../validate/validate.ts');
      const { all, level, samplePercent } = options;
      return prepared(validateOperation, { target, all, level, samplePercent }, schedule);
    }
    case 'integrity': {
      const { integrityOperation } = await import('../integrity/integrity.ts');
      return prepared(integrityOperation, { target }, schedule);
    }
    case 'drill':
    case 'drill-pitr': {
      const { drillOperation } = await import('../drill/drill.ts');
      const pitr = type === 'drill-pitr' ? { pitr: true, seed: options.seed } : {};
      return prepared(drillOperation, { target, ...pitr }, schedule);
    }
    case 'cleanup': {
      const { cleanupOperation } = await import('../cleanup/cleanup.ts');
      const { maxDelete, graceMs } = options;
      return prepared(cleanupOperation, { target, maxDelete, graceMs }, schedule);
    }
    case 'report': {
      const { reportOperation } = await import('../report/report.ts');
      const { days, format, output, bundle } = options;
      return prepared(reportOperation, { target, days, format, output, bundle }, schedule);
    }
    case 'status': {
      const { statusOperation } = await import('../status/status.ts');
      const { maxAgeMs, days } = options;
      return prepared(statusOperation, { target, maxAgeMs, days, notify: true }, schedule);
    }
    case 'full':
    case 'database':
    case 'redis':
    case 'files':
    case 'base': {
      const { backupOperation } = await import('../backup/backup.ts');
      const { label, tags = [], ifRunning, timeoutMs } = options;
      const components = type === 'full' ? [] : [type];
      const asked: BackupOptions = { target, components, label, tags, ifRunning, timeoutMs };
      return prepared(backupOperation, asked, schedule, (request, more) => ({
        ...request,
        tags: [...request.tags, ...more],
      }));
    }
  }
}

/** Nothing that a schedule can stand for has relative paths or asks. */
const alone: Surroundings = {
  cwd: '/',
  confirm: async ({ name }) => {
    throw new LifeboatError('confirmation', `a schedule cannot be asked to confirm ${name}`);
  },
};

function prepared<Options, Request, Result extends object>(
  operation: Operation<Options, Request, Result>,
  options: Options,
  schedule: Schedule,
  tagged: (request: Request, tags: readonly string[]) => Request = (request) => request,
): PreparedRun {
  const request = operation.complete(options, alone);
  return {
    need: operation.need(request),
    run: async (loaded, context, tags = []) => {
      const answer = await perform(operation, withOptions(loaded, schedule), tagged(request, tags), context);
      return { answer, exitCode: exitCodeOfResult(answer) };
    },
  };
}

/** Options that stand for configuration values, as --jobs does. */
function withOptions(loaded: LoadedConfig, { options }: Schedule): LoadedConfig {
  const { jobs, compression, maxBackupBytes } = options;
  const { config } = loaded;
  return {
    ...loaded,
    config: {
      ...config,
      jobs: jobs ?? config.jobs,
      compression: compression ?? config.compression,
      maxBackupBytes: maxBackupBytes ?? config.maxBackupBytes,
    },
  };
}
