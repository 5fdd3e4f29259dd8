/** `metrics`: what a monitoring system wants to know of the repository, now; as an answer, in a file, or sent. */
import type { LoadedConfig } from '../../config/load.ts';
import { exitCodeOf, type ErrorCode } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { given, pathOf, surveyNeeds } from '../complete.ts';
import type { Operation } from '../operation.ts';
import { look, lookFamilies, type Look } from './collect.ts';
import type { Family } from './family.ts';
import { pushAll } from './push.ts';
import type { MetricsOptions, MetricsRequest, MetricsResult } from './request.ts';
import { writeTextfile } from './textfile.ts';

export const metricsOperation: Operation<MetricsOptions, MetricsRequest, MetricsResult> = {
  need: () => surveyNeeds,
  complete: (options, { cwd }) => {
    return { push: false, ...given(options), textfile: pathOf(options.textfile, cwd) };
  },
  run: metrics,
  exitCode: ({ failure }) => (failure === undefined ? 0 : exitCodeOf[failure.code as ErrorCode]),
};

/**
 * A repository that cannot be looked at is part of the answer. Throws `storage` (20) where a receiver does not take
 * them, and what the file system refuses.
 */
export async function metrics(
  loaded: LoadedConfig,
  { textfile, push }: MetricsRequest,
  context: RunContext,
): Promise<MetricsResult> {
  const seen = await look(loaded, context);
  if (seen.failure !== undefined) context.emit({ type: 'warning', message: seen.failure.message });
  const families = await lookFamilies(seen, loaded.config, Date.now());
  const told: string[] = [];
  if (textfile !== undefined) {
    await writeTextfile(textfile, families);
    told.push(textfile);
  }
  if (push) told.push(...(await pushAll(loaded.config.metrics, families, context)));
  return resultOf(seen, families, told);
}

function resultOf({ atMs, facts, failure }: Look, families: readonly Family[], told: readonly string[]): MetricsResult {
  return {
    at: new Date(atMs).toISOString(),
    isUp: facts !== undefined,
    ...(failure === undefined ? {} : { failure: { code: failure.code, message: failure.message } }),
    metrics: families.filter(({ samples }) => samples.length > 0),
    told,
  };
}
