/**
 * What became of this host's backups, failed ones above all: those leave no manifest, and may not even have
 * reached the repository. One line a run in `<state>/runs.ndjson`, the last 400. Never a reason to fail.
 */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { repositoryUrl } from '../../config/repository-place.ts';
import { AbortedError, exitCodeOfError, LifeboatError, messageOf } from '../../lib/errors.ts';
import { ensureFolder, writeFileAtomic } from '../../lib/fs.ts';
import { appendTo, readTextAt } from '../../lib/held-files.ts';
import type { BackupRequest, BackupResult } from './request.ts';
import type { Run } from '../operation.ts';

const runSchema = z.object({
  repository: z.string(),
  target: z.string(),
  /** Only of a run that went well. */
  id: z.string().optional(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  outcome: z.enum(['ok', 'failed', 'aborted']),
  exitCode: z.int(),
  /** What a failed one said. */
  message: z.string().optional(),
});

/** Times RFC 3339 in UTC; no secret stands in it. */
export type RecordedRun = z.infer<typeof runSchema>;

const keptRuns = 400;
/** Trimmed only now and then: of two runs that do it at once one may lose its line. */
const trimAbove = 500;

/**
 * The same operation, each real run of it written down. Dry runs, and runs that found another one at work, are not.
 */
export function remembered(operation: Run<BackupRequest, BackupResult>): Run<BackupRequest, BackupResult> {
  return async (loaded, request, context) => {
    const startedAt = new Date().toISOString();
    let result: BackupResult;
    try {
      result = await operation(loaded, request, context);
    } catch (error) {
      const isNone = request.dryRun || (error instanceof LifeboatError && ['locked', 'usage'].includes(error.code));
      const message = isNone ? undefined : await remember(loaded, request, { startedAt, ...failureOf(error) });
      if (message !== undefined) context.emit({ type: 'debug', message });
      throw error;
    }
    if (result.outcome !== 'done') return result;
    const { id, target } = result;
    const message = await remember(loaded, request, { startedAt, id, target, outcome: 'ok', exitCode: 0 });
    if (message === undefined) return result;
    context.emit({ type: 'warning', message });
    return { ...result, warnings: [...result.warnings, message] };
  };
}

/** Runs into one repository, oldest first; lines that cannot be read are passed over. */
export async function readRuns(stateDir: string, repository: string): Promise<RecordedRun[]> {
  return (await readLines(stateDir)).flatMap((line) => {
    const run = parse(line);
    return run?.repository === repository ? [run] : [];
  });
}

/** How a repository is called in the history; no credentials. */
export function repositoryName({ repository }: Pick<Config, 'repository'>): string {
  return repository === undefined ? '' : repositoryUrl(repository);
}

function failureOf(error: unknown): Pick<RecordedRun, 'outcome' | 'exitCode' | 'message'> {
  return {
    outcome: error instanceof AbortedError ? 'aborted' : 'failed',
    exitCode: exitCodeOfError(error),
    message: messageOf(error).slice(0, 1000),
  };
}

/** What there is to tell if it cannot be written. */
async function remember(
  { config }: LoadedConfig,
  request: BackupRequest,
  run: Omit<RecordedRun, 'repository' | 'target' | 'finishedAt'> & { readonly target?: string },
): Promise<string | undefined> {
  const target = run.target ?? request.target ?? config.defaultTarget ?? [...config.targets.keys()][0] ?? '';
  const record: RecordedRun = {
    repository: repositoryName(config),
    ...run,
    target,
    finishedAt: new Date().toISOString(),
  };
  try {
    const path = pathOf(config.stateDir);
    await ensureFolder(dirname(path));
    await appendTo(path, `${JSON.stringify(record)}\n`);
    const lines = await readLines(config.stateDir);
    if (lines.length > trimAbove) await writeFileAtomic(path, `${lines.slice(-keptRuns).join('\n')}\n`, 0o600);
    return undefined;
  } catch (error) {
    return `this run is not in the history that status reads: ${messageOf(error)}`;
  }
}

function pathOf(stateDir: string): string {
  return join(stateDir, 'runs.ndjson');
}

async function readLines(stateDir: string): Promise<string[]> {
  const text = await readTextAt(pathOf(stateDir)).catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

function parse(line: string): RecordedRun | undefined {
  try {
    return runSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
