/**
 * Prometheus' Pushgateway: PUT /metrics/job/<job> replaces the whole group, so that what is gone goes there too.
 * (github.com/prometheus/pushgateway, README, "API".)
 */
import type { MetricsConfig } from '../../config/config.ts';
import { request } from '../../lib/http-request.ts';
import { exposition } from './exposition.ts';
import type { Family } from './family.ts';

export async function sendToPushgateway(
  { url, job }: NonNullable<MetricsConfig['pushgateway']>,
  families: readonly Family[],
  signal: AbortSignal,
): Promise<void> {
  const base = (await url.fetch(signal)).reveal().trim().replace(/\/+$/, '');
  await request(
    `${base}/metrics/${groupOf(job)}`,
    {
      method: 'PUT',
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      body: await exposition(families),
    },
    signal,
  );
}

/** A slash cannot be escaped in a path there. */
function groupOf(job: string): string {
  if (!job.includes('/')) return `job/${encodeURIComponent(job)}`;
  return `job@base64/${Buffer.from(job).toString('base64url')}`;
}
