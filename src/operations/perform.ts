/**
 * Runs an operation for whoever asks, and tells afterwards which exit code its answer stands for: the same for the
 * command line and for a program. The code belongs to the answer, but is no member of it, since the documents of --json
 * are made of those.
 */
import type { LoadedConfig } from '../config/load.ts';
import { exitCodeWarnings } from '../lib/errors.ts';
import type { EventSink, RunContext } from '../lib/events.ts';
import { systemFailure } from '../lib/file-errors.ts';
import { withProgramFolders } from '../lib/program-folders.ts';
import type { Operation } from './operation.ts';

const exitCodes = new WeakMap<object, number>();

/** A context, and what is known of what comes after the run. */
export interface PerformContext extends RunContext {
  /** After this failure it is run again soon: nobody need hear of it yet. */
  readonly isTriedAgain?: ((error: unknown) => boolean) | undefined;
}

/**
 * Runs it, and tells of its end where channels are configured. Rejects as the operation does; what a file system
 * refused as LifeboatError.
 */
export async function perform<Options, Request, Result extends object>(
  operation: Operation<Options, Request, Result>,
  loaded: LoadedConfig,
  request: Request,
  context: PerformContext,
): Promise<Result> {
  const run = async (heard: RunContext): Promise<Result> => performUntold(operation, loaded, request, heard);
  const { command } = operation;
  if (command === undefined || loaded.config.notifications.channels.size === 0) return run(context);
  const { tellRun } = await import('./notify/run.ts');
  const { isTriedAgain } = context;
  return tellRun({ command, loaded, request, context, isTriedAgain }, run, exitCodeOfResult);
}

async function performUntold<Options, Request, Result extends object>(
  operation: Operation<Options, Request, Result>,
  loaded: LoadedConfig,
  request: Request,
  context: RunContext,
): Promise<Result> {
  let isWarned = false;
  const emit: EventSink = (event) => {
    if (event.type === 'warning') isWarned = true;
    context.emit(event);
  };
  const run = async (): Promise<Result> => operation.run(loaded, request, { ...context, emit });
  const result = await withProgramFolders(loaded.config.tools, run).catch((error: unknown) => {
    throw systemFailure(error);
  });
  const warned = isWarned || hasWarnings(result) ? exitCodeWarnings : 0;
  exitCodes.set(result, operation.exitCode?.(result) ?? warned);
  return result;
}

/**
 * The exit code that the command of the same name ends with for this result: 0, 3 with warnings, or what was found
 * (damage 14, a status that is unhealthy 19; the numbers are those of `exitCodeOf`). For what was rejected see
 * `LifeboatError.exitCode`. Throws TypeError for anything but the very object that a method has resolved to.
 */
export function exitCodeOfResult(result: object): number {
  const code = exitCodes.get(result);
  if (code === undefined) throw new TypeError('this is not the result of an operation, or a copy of one');
  return code;
}

/** Results name their warnings; those that were told as events are mostly among them. */
function hasWarnings(result: object): boolean {
  const { warnings } = result as { warnings?: unknown };
  return Array.isArray(warnings) && warnings.length > 0;
}
