/** The part of parsing that metrics need: where they go, with secrets only for who pushes them. */
import type { MetricsConfig } from './config.ts';
import type { Parser } from './parser.ts';
import type { Settings } from './schema.ts';
import { PendingSecret } from './secrets.ts';
import type { Secret } from '../lib/secret.ts';

export async function parseMetrics({ metrics }: Settings, parser: Parser): Promise<MetricsConfig> {
  const { service, textfile, pushgateway, dogstatsd, otlp } = metrics;
  if (textfile !== undefined && !textfile.endsWith('.prom')) {
    parser.fault('metrics.textfile', 'must end in .prom: collectors read no other files');
  }
  return {
    service,
    textfile: textfile === undefined ? undefined : parser.absolute('metrics.textfile', textfile),
    pushgateway:
      pushgateway === undefined
        ? undefined
        : { url: await httpUrl('metrics.pushgateway.url', pushgateway.url, parser), job: pushgateway.job },
    dogstatsd,
    otlp:
      otlp === undefined
        ? undefined
        : { url: await httpUrl('metrics.otlp.url', otlp.url, parser), headers: await headersOf(otlp.headers, parser) },
  };
}

type Reference = Parameters<Parser['secret']>[1];

async function httpUrl(path: string, reference: Reference, parser: Parser): Promise<Secret> {
  const url = await pushSecret(path, reference, parser);
  if (!(url instanceof PendingSecret) && !/^https?:\/\/[^\s/]/.test(url.reveal())) {
    parser.fault(path, 'must begin with http:// or https://');
  }
  return url;
}

async function headersOf(headers: Readonly<Record<string, Reference>>, parser: Parser): Promise<Map<string, Secret>> {
  const found = new Map<string, Secret>();
  for (const [name, reference] of Object.entries(headers)) {
    found.set(name, await pushSecret(`metrics.otlp.headers.${name}`, reference, parser));
  }
  return found;
}

async function pushSecret(path: string, reference: Reference, parser: Parser): Promise<Secret> {
  const needed = parser.surroundings.need.metrics === true;
  return (await parser.secret(path, reference, needed)) ?? new PendingSecret(path);
}
