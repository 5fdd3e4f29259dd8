/** Whether commands and the daemon are to give metrics to somebody of their own accord. */
import type { MetricsConfig } from '../../config/config.ts';

/** A receiver is configured. */
export function hasReceivers({ pushgateway, dogstatsd, otlp }: MetricsConfig): boolean {
  return (pushgateway ?? dogstatsd ?? otlp) !== undefined;
}

/** A receiver is, or a file. */
export function areWanted(metrics: MetricsConfig): boolean {
  return metrics.textfile !== undefined || hasReceivers(metrics);
}
