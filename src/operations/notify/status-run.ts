/** A look at the repository whose findings are told: `status --notify`, and the daemon's own. */
import type { Config } from '../../config/config.ts';
import type { EventSink } from '../../lib/events.ts';
import { sightingOfBlindness, sightingsOfStatus, type FoundReason } from './status-sightings.ts';
import { tell } from './tell.ts';

/** Resolves and rejects as `look` does. */
export async function tellStatus<R extends { readonly reasons: readonly FoundReason[] }>(
  config: Config,
  target: string | undefined,
  { signal, emit }: { readonly signal: AbortSignal; readonly emit: EventSink },
  look: () => Promise<R>,
): Promise<R> {
  let found: R;
  try {
    found = await look();
  } catch (error) {
    if (!signal.aborted) await tell(config, [sightingOfBlindness(error)], emit);
    throw error;
  }
  await tell(config, sightingsOfStatus(found.reasons, target), emit);
  return found;
}
