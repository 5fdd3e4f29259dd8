/** The end of a run, told: around every operation that has a name, where channels are configured. */
import type { LoadedConfig } from '../../config/load.ts';
import { systemFailure } from '../../lib/file-errors.ts';
import type { EventSink, RunContext } from '../../lib/events.ts';
import { isBackupId } from '../../repository/manifests/ids.ts';
import { didNothing } from '../audit/audited.ts';
import { isDryRun, partsOf, targetOf } from './asked.ts';
import { Pings } from './pings.ts';
import { sightingsOf, type EndedRun } from './run-sightings.ts';
import { tell } from './tell.ts';

export interface ToldRun {
  /** What an operator calls it. */
  readonly command: string;
  readonly loaded: LoadedConfig;
  readonly request: unknown;
  readonly context: RunContext;
  /** Somebody runs it again soon after this failure: nobody need hear of it yet. */
  readonly isTriedAgain: ((error: unknown) => boolean) | undefined;
}

/** Resolves and rejects as `run` does. */
export async function tellRun<R extends object>(
  told: ToldRun,
  run: (context: RunContext) => Promise<R>,
  exitCodeOf: (result: R) => number,
): Promise<R> {
  const { context } = told;
  const startedMs = performance.now();
  const warnings: string[] = [];
  const pings = new Pings(told.loaded.config, told.command, targetOf(told.request, told.loaded.config));
  const emit: EventSink = (event) => {
    if (event.type === 'warning') warnings.push(event.message);
    pings.hear(event);
    context.emit(event);
  };
  if (!isDryRun(told.request)) pings.start();
  const tellEnd = async (end: EndedRun['end'], target?: string): Promise<void> =>
    tellEnded(told, { durationMs: performance.now() - startedMs, end }, pings, target);
  let result: R;
  try {
    result = await run({ ...context, emit });
  } catch (error) {
    if (told.isTriedAgain?.(error) !== true) await tellEnd({ kind: 'rejected', error: systemFailure(error) });
    throw error;
  }
  if (didNothing(told.request as object, result)) return result;
  const { id, target } = result as { id?: unknown; target?: unknown };
  const backup = typeof id === 'string' && isBackupId(id) ? id : undefined;
  const end = { kind: 'resolved', exitCode: exitCodeOf(result), backup, warnings } as const;
  await tellEnd(end, typeof target === 'string' ? target : undefined);
  return result;
}

async function tellEnded(
  told: ToldRun,
  ended: Pick<EndedRun, 'durationMs' | 'end'>,
  pings: Pings,
  resultTarget: string | undefined,
): Promise<void> {
  if (isDryRun(told.request)) return;
  const { command, loaded, request, context } = told;
  const run: EndedRun = {
    command,
    target: resultTarget ?? targetOf(request, loaded.config),
    parts: partsOf(request),
    ...ended,
  };
  await tell(loaded.config, sightingsOf(run), context.emit, await pings.end(run));
}
