/** One look at the repository for its metrics: a look that failed is shown as that, never as what was seen before. */
import type { Config } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { programVersion } from '../../lib/version.ts';
import { statusDefaults } from '../status/request.ts';
import { status } from '../status/status.ts';
import { channelFamilies } from './channel-families.ts';
import { repositoryFamilies } from './families.ts';
import { factsOf, type RepositoryFacts } from './facts.ts';
import { gauge, sample, type Family } from './family.ts';

/** What a look has found. Times in milliseconds since 1970. */
export interface Look {
  readonly atMs: number;
  readonly tookMs: number;
  /** Undefined: it failed. */
  readonly facts: RepositoryFacts | undefined;
  readonly failure: LifeboatError | undefined;
}

/** Rejects only with what is no fault of the repository: wrong usage, an end by a signal, a bug. */
export async function look(
  loaded: LoadedConfig,
  context: RunContext,
  { notify }: { readonly notify?: boolean } = {},
): Promise<Look> {
  const [atMs, begin] = [Date.now(), performance.now()];
  try {
    const facts = factsOf(await status(loaded, { ...statusDefaults, notify }, context));
    return { atMs, tookMs: performance.now() - begin, facts, failure: undefined };
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof LifeboatError) || error.code === 'usage') throw error;
    return { atMs, tookMs: performance.now() - begin, facts: undefined, failure: notSeen(error) };
  }
}

function notSeen({ code, message, hint }: LifeboatError): LifeboatError {
  return new LifeboatError(code, `the repository cannot be looked at: ${message}`, { hint });
}

/** Its metrics, and those of the notification channels, as of now. */
export async function lookFamilies({ atMs, tookMs, facts }: Look, config: Config, nowMs: number): Promise<Family[]> {
  return [
    ...programFamilies(),
    ...answerFamilies(facts === undefined ? undefined : atMs, facts !== undefined, nowMs),
    gauge('lifeboat_repository_look_duration_seconds', 'How long the look at the repository took.', [
      { value: tookMs / 1000 },
    ]),
    ...(await channelFamilies(config)),
    ...(facts === undefined ? [] : repositoryFamilies(facts, config.metrics.service, nowMs)),
  ];
}

export function programFamilies(): Family[] {
  return [gauge('lifeboat_build_info', 'Version of lifeboat.', [{ labels: { version: programVersion() }, value: 1 }])];
}

/** Whether what stands beside it was seen lately, and how old it is. `atMs`: of the last answer, if there was one. */
export function answerFamilies(atMs: number | undefined, isUp: boolean, nowMs: number): Family[] {
  const answered = atMs === undefined ? undefined : atMs / 1000;
  const ago = atMs === undefined ? undefined : Math.max(0, nowMs - atMs) / 1000;
  return [
    gauge('lifeboat_repository_up', '1: the repository answered when it was asked last, lately.', [
      { value: Number(isUp) },
    ]),
    gauge(
      'lifeboat_repository_answer_timestamp_seconds',
      'When the repository answered last: as of then are the metrics of backups, log, schedules and storage.',
      sample(answered),
    ),
    gauge('lifeboat_repository_answer_age_seconds', 'How long ago that is.', sample(ago)),
  ];
}
