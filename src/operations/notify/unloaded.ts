/**
 * A run that could not even begin: a key that is not there, a vault that does not answer. What the configuration says
 * of channels can be had all the same.
 */
import type { LoadedConfig } from '../../config/load.ts';
import type { EventSink } from '../../lib/events.ts';
import { isDryRun, partsOf, targetOf } from './asked.ts';
import { sightingsOf } from './run-sightings.ts';
import { tell } from './tell.ts';

/** `load`: the configuration without secrets. Never rejects; where it does not parse nobody can be told. */
export async function tellUnloaded(
  command: string,
  request: unknown,
  error: unknown,
  load: () => Promise<Pick<LoadedConfig, 'config'>>,
  emit: EventSink,
): Promise<void> {
  const loaded = await load().catch(() => undefined);
  if (loaded === undefined || loaded.config.notifications.channels.size === 0) return;
  if (isDryRun(request)) return;
  const { config } = loaded;
  const run = {
    command,
    target: targetOf(request, config),
    parts: partsOf(request),
    durationMs: 0,
    end: { kind: 'rejected', error },
  } as const;
  await tell(config, sightingsOf(run), emit);
}
