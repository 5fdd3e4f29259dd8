/**
 * The wrapper of an operation that hooks can stand around. What is to be before must be, or nothing is done; what is
 * to be after is run whatever came of it, since it may have to put right what was done before: also where a hook before
 * failed, or the run was stopped by a signal. Dry runs have none.
 */
import type { ConfiguredCommand, HookBefore, HookedCommand, Hooks } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { addState, exitCodeOfError, exitCodeWarnings, AbortedError, messageOf } from '../../lib/errors.ts';
import { systemFailure } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { isDryRun, targetOf } from '../notify/asked.ts';
import { collectLeftovers } from '../open-repository.ts';
import type { Run } from '../operation.ts';
import { noteWarnings } from '../warnings.ts';
import { endLeftRests } from './quiesce.ts';
import { runConfigured } from './run-command.ts';

const states: Record<HookedCommand, string> = {
  backup: 'no backup was made',
  restore: 'nothing was restored',
  pitr: 'nothing was recovered',
  cleanup: 'nothing was deleted',
};

/** The same operation with its hooks. A hook after it that fails is among the warnings of the result, if it has any. */
export function hooked<Q extends object, R extends object>(operation: HookedCommand, run: Run<Q, R>): Run<Q, R> {
  return async (loaded, request, context) => {
    const hooks = hooksFor(loaded, operation, request);
    if (isWithout(request)) return run(loaded, request, context);
    const isHooked = hooks.before.length + hooks.after.length > 0;
    // A cleanup that starts nothing gets along without a state folder.
    const { context: watched, warnings } = noteWarnings(context);
    const { context: own, warnings: ours } = noteWarnings(watched);
    if (isHooked || operation !== 'cleanup') {
      collectLeftovers(loaded, own);
      await endLeftRests(loaded, own);
    }
    if (!isHooked) return withWarnings(await run(loaded, request, watched), ours);
    const ran: Ran = { loaded, operation, request, hooks, context: own };
    try {
      await runBefore(ran);
      const result = await run(loaded, request, watched);
      await runAfter(ran, endOf(result, warnings.length > 0));
      return withWarnings(result, ours);
    } catch (thrown) {
      const error = systemFailure(thrown);
      await runAfter(ran, {
        LIFEBOAT_OUTCOME: error instanceof AbortedError ? 'aborted' : 'failed',
        LIFEBOAT_EXIT_CODE: String(exitCodeOfError(error)),
      });
      throw error;
    }
  };
}

function endOf(result: object, isWarned: boolean): Record<string, string> {
  const { outcome, id, target } = result as { outcome?: unknown; id?: unknown; target?: unknown };
  const isSkipped = outcome === 'skipped';
  return {
    LIFEBOAT_OUTCOME: isSkipped ? 'skipped' : isWarned ? 'warnings' : 'ok',
    LIFEBOAT_EXIT_CODE: String(isWarned ? exitCodeWarnings : 0),
    ...(typeof id === 'string' ? { LIFEBOAT_BACKUP: id } : {}),
    ...(typeof target === 'string' ? { LIFEBOAT_TARGET: target } : {}),
  };
}

interface Ran {
  readonly loaded: LoadedConfig;
  readonly operation: HookedCommand;
  readonly request: object;
  readonly hooks: Required<ChosenHooks>;
  readonly context: RunContext;
}

interface ChosenHooks {
  readonly before: readonly HookBefore[];
  readonly after: readonly ConfiguredCommand[];
}

/** Those of the target stand inside those for all. */
function hooksFor({ config }: LoadedConfig, operation: HookedCommand, request: object): ChosenHooks {
  const of = (hooks: Hooks | undefined): ChosenHooks => hooks?.[operation] ?? { before: [], after: [] };
  const general = of(config.hooks);
  const own = of(config.targets.get(targetOf(request, config) ?? '')?.hooks);
  return { before: [...general.before, ...own.before], after: [...own.after, ...general.after] };
}

/** Of what only plans or looks. */
function isWithout(request: object): boolean {
  return isDryRun(request) || (request as { check?: unknown }).check === true;
}

async function runBefore({ loaded, operation, request, hooks, context }: Ran): Promise<void> {
  const name = `the hook before the ${operation}`;
  const timeoutKey = `timeoutSeconds in hooks.${operation}.before`;
  const facts = { ...factsOf(loaded, operation, request), LIFEBOAT_HOOK: 'before' };
  for (const command of hooks.before) {
    try {
      await runConfigured({ command, name, timeoutKey, facts }, loaded.config, context);
    } catch (error) {
      context.signal.throwIfAborted();
      if (command.onFailure === 'stop') throw addState(error, states[operation]);
      context.emit({ type: 'warning', message: messageOf(error) });
    }
  }
}

/** Never rejects. A run that is stopped has them run all the same, each for as long as it may take. */
async function runAfter(
  { loaded, operation, request, hooks, context: { emit } }: Ran,
  outcome: Readonly<Record<string, string>>,
): Promise<void> {
  const name = `the hook after the ${operation}`;
  const timeoutKey = `timeoutSeconds in hooks.${operation}.after`;
  const facts = { ...factsOf(loaded, operation, request), LIFEBOAT_HOOK: 'after', ...outcome };
  for (const command of hooks.after) {
    try {
      await runConfigured({ command, name, timeoutKey, facts }, loaded.config, { emit });
    } catch (error) {
      emit({ type: 'warning', message: messageOf(error) });
    }
  }
}

/** What is known before the run. */
function factsOf({ config }: LoadedConfig, operation: HookedCommand, request: object): Record<string, string> {
  const { id } = request as { id?: unknown };
  return {
    LIFEBOAT_OPERATION: operation,
    LIFEBOAT_TARGET: targetOf(request, config) ?? '',
    LIFEBOAT_BACKUP: typeof id === 'string' ? id : '',
  };
}

/** The operation does not know of those of its hooks. */
function withWarnings<R extends object>(result: R, more: readonly string[]): R {
  const { warnings } = result as { warnings?: unknown };
  if (more.length === 0 || !Array.isArray(warnings)) return result;
  return { ...result, warnings: [...(warnings as string[]), ...more] };
}
