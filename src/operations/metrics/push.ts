/** Metrics for where nobody scrapes: sent to each receiver that is configured. */
import type { MetricsConfig } from '../../config/config.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Family } from './family.ts';
import { sendDogstatsd } from './dogstatsd.ts';
import { sendOtlp } from './otlp.ts';
import { sendToPushgateway } from './pushgateway.ts';

/** Any receiver is configured. */
export function hasReceivers({ pushgateway, dogstatsd, otlp }: MetricsConfig): boolean {
  return (pushgateway ?? dogstatsd ?? otlp) !== undefined;
}

/**
 * To all of them, also where one fails. Names of those that took them. Throws LifeboatError `usage` where none is
 * configured, `storage` with what failed.
 */
export async function pushAll(
  { service, pushgateway, dogstatsd, otlp }: MetricsConfig,
  families: readonly Family[],
  { signal }: Pick<RunContext, 'signal'>,
): Promise<string[]> {
  const receivers: [string, () => Promise<void>][] = [];
  if (pushgateway !== undefined) {
    receivers.push(['pushgateway', async () => sendToPushgateway(pushgateway, families, signal)]);
  }
  if (dogstatsd !== undefined) receivers.push(['dogstatsd', async () => sendDogstatsd(dogstatsd.address, families)]);
  if (otlp !== undefined) receivers.push(['otlp', async () => sendOtlp(otlp, service, families, Date.now(), signal)]);
  if (receivers.length === 0) {
    throw new LifeboatError('usage', 'there is nowhere to push metrics to', {
      hint: 'configure metrics.pushgateway, metrics.dogstatsd or metrics.otlp; see lifeboat.config(5)',
    });
  }
  const results = await Promise.allSettled(receivers.map(async ([, send]) => send()));
  signal.throwIfAborted();
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [messageOf(result.reason)] : []));
  if (failures.length > 0) {
    throw new LifeboatError('storage', failures.join('; '), {
      state: `${receivers.length - failures.length} of ${receivers.length} receivers have the metrics`,
      hint: 'see whether the receiver runs, and its address in lifeboat.config(5), section metrics',
      retryable: true,
    });
  }
  return receivers.map(([name]) => name);
}
