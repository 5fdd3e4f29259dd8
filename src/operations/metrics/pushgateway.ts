/**
 * Prometheus' Pushgateway: PUT /metrics/job/<job> replaces the whole group, so that what is gone goes there too.
 * (github.com/prometheus/pushgateway, README, "API".)
 */
import type { MetricsConfig } from '../../config/config.ts';
import { sendHttp } from '../../lib/http-send.ts';
import { Secret } from '../../lib/secret.ts';
import { exposition } from './exposition.ts';
import type { Family } from './family.ts';

export async function sendToPushgateway(
  { url, job }: NonNullable<MetricsConfig['pushgateway']>,
  families: readonly Family[],
  signal: AbortSignal,
): Promise<void> {
  // A slash cannot be escaped in a path there.
  const group = job.includes('/')
    ? `job@base64/${Buffer.from(job).toString('base64url')}`
    : `job/${encodeURIComponent(job)}`;
  const document = {
    method: 'PUT' as const,
    url: new Secret(`${url.reveal().replace(/\/+$/, '')}/metrics/${group}`),
    headers: new Map([['content-type', 'text/plain; version=0.0.4; charset=utf-8']]),
    body: await exposition(families),
  };
  await sendHttp(document, 'metrics', signal);
}
