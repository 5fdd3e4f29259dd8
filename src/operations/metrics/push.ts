/** Metrics for where nobody scrapes: sent to each receiver that is configured. */
import type { MetricsConfig } from '../../config/config.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Family } from './family.ts';
import { sendDogstatsd } from './dogstatsd.ts';
import { sendOtlp } from './otlp.ts';
import { sendToPushgateway } from './pushgateway.ts';

/** So long a receiver has for all of it. */
const totalMs = 10_000;

/**
 * To all of them, also where one fails. Names of those that took them. Throws LifeboatError `usage` where none is
 * configured, `storage` with what failed.
 */
export async function pushAll(
  { service, pushgateway, dogstatsd, otlp }: MetricsConfig,
  families: readonly Family[],
  context: Pick<RunContext, 'signal'>,
): Promise<string[]> {
  const limit = AbortSignal.timeout(totalMs);
  const signal = AbortSignal.any([context.signal, limit]);
  const sending: Record<string, Promise<void> | undefined> = {
    'the Pushgateway': pushgateway && sendToPushgateway(pushgateway, families, signal),
    DogStatsD: dogstatsd && sendDogstatsd(dogstatsd.address, families),
    'the OTLP receiver': otlp && sendOtlp(otlp, service, families, Date.now(), signal),
  };
  const names = Object.keys(sending).filter((name) => sending[name] !== undefined);
  if (names.length === 0) {
    throw new LifeboatError('usage', 'there is nowhere to push metrics to', {
      hint: 'configure metrics.pushgateway, metrics.dogstatsd or metrics.otlp; see lifeboat.config(5)',
    });
  }
  const results = await Promise.allSettled(names.map(async (name) => sending[name]));
  context.signal.throwIfAborted();
  const failures = results.flatMap((result, n) => {
    if (result.status === 'fulfilled') return [];
    const why = limit.aborted ? `no answer within ${totalMs / 1000} s` : messageOf(result.reason);
    return [`cannot send metrics to ${names[n]}: ${why}`];
  });
  if (failures.length === 0) return names;
  throw new LifeboatError('storage', failures.join('; '), {
    state: `${names.length - failures.length} of ${names.length} receivers have the metrics`,
    hint: 'see whether the receiver runs, and its address: lifeboat.config(5), section metrics',
    retryable: true,
  });
}
