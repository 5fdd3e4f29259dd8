/**
 * An application at rest while what is backed up must be of one state: from before the first source is asked until the
 * last one holds what it will read, which for databases is long before the end. That it rests is written down before it
 * is told to, so that the next run lets it go on where this one is killed. What does so is what the configuration says
 * then: what lies in a state folder is no order to run anything.
 */
import type { QuiesceConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { repositoryPlace } from '../../config/repository-place.ts';
import { addState, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { type Duty, leftDuties, rememberDuty } from '../../lib/leftovers.ts';
import { collectLeftovers, repositoryLocation } from '../open-repository.ts';
import { type CommandRun, runConfigured } from './run-command.ts';

/**
 * Runs `work` while the target's application rests; from its call of `onHeld` on the application goes on. Throws
 * LifeboatError `tool` (16) where it cannot be brought to rest, and what `work` throws. That it could not be let go on
 * is a warning; the next run tries it again.
 */
export async function quiesced<T>(
  loaded: LoadedConfig,
  target: string,
  context: RunContext,
  work: (onHeld: () => void) => Promise<T>,
): Promise<T> {
  const quiesce = loaded.config.targets.get(target)?.quiesce;
  if (quiesce === undefined) return work(() => {});
  // What another run has left at rest goes on with ours, and not in the middle of it.
  collectLeftovers(loaded, context);
  const duty: Duty = { kind: 'quiesce', place: repositoryPlace(repositoryLocation(loaded)), target };
  const rest = new Rest({ loaded, quiesce, duty, context });
  try {
    await rest.begin();
    return await work(() => rest.letGo());
  } finally {
    await rest.finish();
  }
}

/** Lets what killed runs have left at rest go on; what cannot be is a warning. */
export async function endLeftRests(loaded: LoadedConfig, { emit }: RunContext): Promise<void> {
  for (const left of leftDuties()) {
    const { place, target } = left.duty;
    if (loaded.config.repository === undefined || place !== repositoryPlace(loaded.config.repository)) continue;
    const quiesce = loaded.config.targets.get(target)?.quiesce;
    if (quiesce === undefined) {
      const message =
        `a killed run has left target ${target} at rest, and no quiesce is configured for it any more: let it go on ` +
        'by hand; this is told once';
      emit({ type: 'warning', message });
      left[Symbol.dispose]();
      continue;
    }
    try {
      emit({ type: 'step', message: `a killed run has left target ${target} at rest: it goes on now` });
      await runConfigured(commandOf(quiesce, 'end', target), loaded.config, { emit });
      left[Symbol.dispose]();
    } catch (error) {
      emit({ type: 'warning', message: stillRests(target, error) });
    }
  }
}

interface Resting {
  readonly loaded: LoadedConfig;
  readonly quiesce: QuiesceConfig;
  readonly duty: Duty;
  readonly context: RunContext;
}

class Rest {
  readonly #of: Resting;
  readonly #remembered: Disposable;
  #ending: Promise<unknown> | undefined;

  constructor(of: Resting) {
    this.#of = of;
    this.#remembered = rememberDuty(of.duty);
  }

  async begin(): Promise<void> {
    const { loaded, quiesce, duty, context } = this.#of;
    await runConfigured(commandOf(quiesce, 'begin', duty.target), loaded.config, context).catch((error: unknown) => {
      throw addState(error, 'no backup was made');
    });
  }

  /** The application goes on meanwhile. */
  letGo(): void {
    this.#ending ??= this.#tryToEnd();
  }

  /** Never rejects. What has failed is tried once more. */
  async finish(): Promise<void> {
    const first = await (this.#ending ??= this.#tryToEnd());
    const error = first === undefined ? undefined : await this.#tryToEnd();
    const { duty, context } = this.#of;
    if (error !== undefined) context.emit({ type: 'warning', message: stillRests(duty.target, error) });
  }

  /** What went wrong. A signal does not keep it from being run. */
  async #tryToEnd(): Promise<unknown> {
    const { loaded, quiesce, duty, context } = this.#of;
    try {
      await runConfigured(commandOf(quiesce, 'end', duty.target), loaded.config, { emit: context.emit });
    } catch (error) {
      return error;
    }
    this.#remembered[Symbol.dispose]();
    for (const left of leftDuties()) {
      if (left.duty.place === duty.place && left.duty.target === duty.target) left[Symbol.dispose]();
    }
    return undefined;
  }
}

function commandOf(quiesce: QuiesceConfig, which: 'begin' | 'end', target: string): CommandRun {
  return {
    command: quiesce[which],
    name: `the quiesce ${which} of target ${target}`,
    timeoutKey: `targets.${target}.quiesce.timeoutSeconds`,
    facts: { LIFEBOAT_HOOK: which, LIFEBOAT_OPERATION: 'backup', LIFEBOAT_TARGET: target, LIFEBOAT_BACKUP: '' },
  };
}

function stillRests(target: string, error: unknown): string {
  return `target ${target} may still be at rest: ${messageOf(error)}; the next run tries again`;
}
