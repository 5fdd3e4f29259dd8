/**
 * OpenTelemetry's protocol over HTTP, in JSON: what New Relic, Grafana Cloud and every collector take.
 * (opentelemetry.io, OTLP specification 1.x, "OTLP/HTTP"; opentelemetry-proto, metrics.proto.)
 */
import type { MetricsConfig } from '../../config/config.ts';
import { programVersion } from '../../lib/version.ts';
import { request } from '../../lib/http-request.ts';
import type { Family } from './family.ts';

/** Rejects also where the receiver takes only some of them. */
export async function sendOtlp(
  { url, headers }: NonNullable<MetricsConfig['otlp']>,
  service: string,
  families: readonly Family[],
  nowMs: number,
  signal: AbortSignal,
): Promise<void> {
  const fetched: Record<string, string> = {};
  for (const [name, value] of headers) fetched[name] = (await value.fetch(signal)).reveal();
  const { text } = await request(
    (await url.fetch(signal)).reveal(),
    {
      headers: { ...fetched, 'content-type': 'application/json' },
      body: JSON.stringify(otlpDocument(service, families, nowMs)),
    },
    signal,
  );
  const rejected = rejectedOf(text);
  if (rejected === undefined) return;
  throw new Error(`it refused some of the metrics: ${rejected}`);
}

/** An ExportMetricsServiceRequest. */
export function otlpDocument(service: string, families: readonly Family[], nowMs: number): object {
  const timeUnixNano = `${Math.round(nowMs)}000000`;
  return {
    resourceMetrics: [
      {
        resource: { attributes: attributes({ 'service.name': service }) },
        scopeMetrics: [
          {
            scope: { name: 'lifeboat', version: programVersion() },
            metrics: families.filter(({ samples }) => samples.length > 0).map((family) => metric(family, timeUnixNano)),
          },
        ],
      },
    ],
  };
}

function metric({ name, help, type, samples }: Family, timeUnixNano: string): object {
  const dataPoints = samples.map(({ labels = {}, value }) => {
    return { attributes: attributes(labels), timeUnixNano, asDouble: value };
  });
  const same = { name, description: help };
  if (type === 'gauge') return { ...same, gauge: { dataPoints } };
  // 2: cumulative.
  return { ...same, sum: { dataPoints, aggregationTemporality: 2, isMonotonic: true } };
}

function attributes(labels: Readonly<Record<string, string>>): object[] {
  return Object.entries(labels).map(([key, stringValue]) => ({ key, value: { stringValue } }));
}

/** A receiver answers 200 and says beside it what it did not take. */
function rejectedOf(text: string): string | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return undefined;
  }
  const partial = (answer as { partialSuccess?: { rejectedDataPoints?: unknown; errorMessage?: unknown } } | null)
    ?.partialSuccess;
  const count = Number(partial?.rejectedDataPoints ?? 0);
  if (!(count > 0)) return undefined;
  const why = typeof partial?.errorMessage === 'string' ? `, "${partial.errorMessage.slice(0, 200)}"` : '';
  return `${count} values${why}`;
}
