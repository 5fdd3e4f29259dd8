/** The part of parsing that metrics need: where they go; secrets are fetched when they are sent. */
import type { MetricsConfig } from './config.ts';
import type { Parser } from './parser.ts';
import type { Settings } from './schema.ts';
import type { LaterSecret } from './secrets.ts';

export function parseMetrics({ metrics }: Settings, parser: Parser): MetricsConfig {
  const { service, textfile, pushgateway, dogstatsd, otlp } = metrics;
  if (textfile !== undefined && !textfile.endsWith('.prom')) {
    parser.fault('metrics.textfile', 'must end in .prom: collectors read no other files');
  }
  const at = 'metrics.otlp.headers';
  const headers = Object.entries(otlp?.headers ?? {}).map(([name, reference]): [string, LaterSecret] => [
    name,
    parser.laterSecret(`${at}.${name}`, reference),
  ]);
  return {
    service,
    textfile: textfile === undefined ? undefined : parser.absolute('metrics.textfile', textfile),
    pushgateway: pushgateway && {
      url: parser.laterSecret('metrics.pushgateway.url', pushgateway.url),
      job: pushgateway.job,
    },
    dogstatsd,
    otlp: otlp && { url: parser.laterSecret('metrics.otlp.url', otlp.url), headers: new Map(headers) },
  };
}
