/** Metrics in Prometheus' text format, version 0.0.4. */
import type { Family } from './family.ts';

/** Families without a sample are left out. */
export async function exposition(families: readonly Family[]): Promise<string> {
  const { Counter, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  for (const { name, type, help, samples } of families) {
    const [first] = samples;
    if (first === undefined) continue;
    const settings = { name, help, labelNames: Object.keys(first.labels ?? {}), registers: [registry] };
    if (type === 'gauge') {
      const metric = new Gauge(settings);
      for (const { labels = {}, value } of samples) metric.set(labels, value);
    } else {
      const metric = new Counter(settings);
      for (const { labels = {}, value } of samples) metric.inc(labels, value);
    }
  }
  return registry.metrics();
}
