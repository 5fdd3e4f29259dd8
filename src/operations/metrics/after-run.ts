/**
 * Metrics at the end of a command that changes something, where the configuration says: a file for a collector, and
 * receivers where nobody scrapes.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { look, lookFamilies } from './collect.ts';
import { pushAll } from './push.ts';
import { writeTextfile } from './textfile.ts';
import { hasReceivers } from './wanted.ts';
import type { MetricsConfig } from '../../config/config.ts';
import type { Family } from './family.ts';

/** A large repository far away; a command is not kept longer. */
const lookMs = 120_000;

/**
 * Looks, and tells. `loaded`: with the secrets of a survey. Never rejects, since a good run is not made a bad one: what
 * went wrong is a warning.
 */
export async function tellMetrics(loaded: LoadedConfig, context: RunContext): Promise<void> {
  const { metrics } = loaded.config;
  const warn = (error: unknown): void => context.emit({ type: 'warning', message: messageOf(error) });
  try {
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(lookMs)]);
    const seen = await look(loaded, { ...context, signal });
    if (seen.failure !== undefined) warn(seen.failure);
    await giveOut(metrics, await lookFamilies(seen, loaded.config, Date.now()), context, warn);
  } catch (error) {
    if (!context.signal.aborted) warn(error);
  }
}

/** Both, also where one fails. */
export async function giveOut(
  metrics: MetricsConfig,
  families: readonly Family[],
  context: Pick<RunContext, 'signal'>,
  warn: (error: unknown) => void,
): Promise<void> {
  if (metrics.textfile !== undefined) await writeTextfile(metrics.textfile, families).catch(warn);
  if (hasReceivers(metrics)) await pushAll(metrics, families, context).catch(warn);
}
