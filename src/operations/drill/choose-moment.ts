/**
 * Chooses the moment of a drill: a random one of the window, by a seed, with something to hold the recovery against on
 * either side.
 */
import { createHash } from 'node:crypto';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Repository } from '../../repository/repository.ts';
import { baseFacts } from '../../source/postgres/base/facts.ts';
import { lookAround, type WalMoment } from './wal-transactions.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import type { Candidate } from '../pitr/choose-base.ts';
import { planPitr, type PitrPlan } from '../pitr/plan.ts';
import { formatMicroseconds, parseTime } from '../pitr/moment.ts';

export interface MomentWindow {
  readonly target: string;
  /** Of that target, newest first. */
  readonly bases: readonly Candidate[];
  /** The recovery is to start from this one. */
  readonly only: Candidate | undefined;
}

export interface ChosenMoment {
  readonly plan: PitrPlan;
  readonly moment: WalMoment;
}

/** Random moments that are tried, and how often each is moved on to the next commit. */
const draws = 8;
const moves = 4;

/** Throws `window` (17) where no moment has a commit on either side, and what planPitr throws but for that. */
export async function chooseMoment(
  loaded: LoadedConfig,
  repository: Repository,
  window: MomentWindow,
  seed: string,
  context: RunContext,
): Promise<ChosenMoment> {
  const starts = await startsOf(repository, window);
  const [from, to] = await limitsOf(loaded, repository, window, starts, context);
  let best: ChosenMoment | undefined;
  const tried = async (atUs: bigint, isDrawn: boolean): Promise<ChosenMoment | undefined> => {
    const found = await tryMoment(loaded, repository, window, atUs, context, isDrawn);
    best ??= found;
    return found !== undefined && found.moment.rowsBefore.length > 0 ? found : undefined;
  };
  for (let n = 0; n < draws && to > from; n++) {
    const found = await tried(from + BigInt(Math.floor(fraction(seed, n) * Number(to - from))), true);
    if (found !== undefined) return found;
  }
  // Hardly anything is written here: directly behind each base backup there may be something.
  for (const { atUs } of starts) {
    if (best !== undefined) break;
    const found = await tried(atUs, false);
    if (found !== undefined) return found;
  }
  if (best !== undefined) return best;
  throw new LifeboatError(
    'window',
    `there is no moment of target ${window.target} to prove by: after no base backup are there two transactions ` +
      'in the archive',
    {
      state: 'nothing was found out about the backup',
      hint: 'lifeboat wal status shows what is archived; a commit becomes part of it with its segment',
    },
  );
}

/** When each base backup ended, newest first. */
async function startsOf(
  repository: Repository,
  { bases, only }: MomentWindow,
): Promise<{ readonly id: string; readonly atUs: bigint }[]> {
  const starts: { id: string; atUs: bigint }[] = [];
  for (const { manifest, component } of only === undefined ? bases : bases.slice(0, bases.indexOf(only) + 1)) {
    const facts = factsOf(baseFacts, await readComponentFacts(repository, manifest), component, manifest.id);
    starts.push({ id: manifest.id, atUs: parseTime(facts.stoppedAt) });
  }
  return starts;
}

/** Microseconds since 1970, the end excluded. */
async function limitsOf(
  loaded: LoadedConfig,
  repository: Repository,
  { target, only }: MomentWindow,
  starts: readonly { readonly id: string; readonly atUs: bigint }[],
  context: RunContext,
): Promise<readonly [bigint, bigint]> {
  const from = starts.at(-1)?.atUs ?? 0n;
  const next = only === undefined ? undefined : starts.at(-2)?.atUs;
  if (next !== undefined) return [from, next];
  const { shown } = await planPitr(
    loaded,
    { to: 'latest', target, inclusive: true, action: 'pause', check: false, dryRun: true },
    repository,
    context,
  );
  return [from, shown.window.to === undefined ? from : parseTime(shown.window.to)];
}

/** The moment, or one a little later that has a commit on either side; undefined if there is none. */
async function tryMoment(
  loaded: LoadedConfig,
  repository: Repository,
  { target, only }: MomentWindow,
  atUs: bigint,
  context: RunContext,
  isDrawn: boolean,
): Promise<ChosenMoment | undefined> {
  let moment = atUs;
  for (let move = 0; move <= moves; move++) {
    const plan = await planned(loaded, repository, target, moment, context, move === 0 && isDrawn);
    if (plan === undefined || (only !== undefined && plan.manifest.id !== only.manifest.id)) return undefined;
    const found = await lookAround(
      { repository, facts: plan.facts, run: plan.run, programs: plan.place.programs, signal: context.signal },
      moment,
    );
    if (found === undefined) return undefined;
    if (!('nextUs' in found)) return { plan, moment: found };
    moment = found.nextUs;
  }
  return undefined;
}

/** Undefined for a moment that cannot be recovered: a gap, or the end of the archive. */
async function planned(
  loaded: LoadedConfig,
  repository: Repository,
  target: string,
  atUs: bigint,
  context: RunContext,
  isDrawn: boolean,
): Promise<PitrPlan | undefined> {
  try {
    return await planPitr(
      loaded,
      { to: formatMicroseconds(atUs), target, inclusive: true, action: 'pause', check: false, dryRun: true },
      repository,
      context,
    );
  } catch (error) {
    if (!(error instanceof LifeboatError) || error.code !== 'window') throw error;
    if (isDrawn) {
      context.emit({
        type: 'warning',
        message: `another moment was taken than ${formatMicroseconds(atUs)}: ${error.message}`,
      });
    }
    return undefined;
  }
}

/** From 0 to 1, the same for the same seed. */
function fraction(seed: string, n: number): number {
  return createHash('sha256').update(`${seed}:${n}`).digest().readUIntBE(0, 6) / 2 ** 48;
}
