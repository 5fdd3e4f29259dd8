/** PagerDuty's Events API v2: https://developer.pagerduty.com/docs/send-alert-event */
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { shortened } from './plain-text.ts';
import { answerOf, notTaken, postJson } from './post-json.ts';

const usualServer = 'https://events.pagerduty.com';

/**
 * An incident is triggered and resolved under one dedup_key. A success is neither, and nothing is sent. Rejects unless
 * it answers that it is a success.
 */
export async function sendPagerduty(
  { url, token }: ChannelOf<'pagerduty'>,
  notice: Notice,
  signal: AbortSignal,
): Promise<void> {
  if (notice.outcome === 'success') return;
  const server = (await url?.fetch(signal))?.reveal() ?? usualServer;
  const key = (await token.fetch(signal)).reveal().trim();
  const { title, text, next, host, at, severity, target, command, incident, id, isTest } = notice;
  const dedup = isTest === true ? `lifeboat-test-${host}` : (incident?.id ?? id);
  const isResolved = notice.outcome === 'recovery';
  const payload = {
    summary: shortened(title, 1024),
    source: host,
    severity,
    timestamp: at,
    component: command,
    group: target,
    class: notice.event,
    custom_details: { text, next, incident: incident?.key },
  };
  const document = {
    routing_key: key,
    event_action: isResolved ? 'resolve' : 'trigger',
    dedup_key: dedup,
    ...(isResolved ? {} : { payload }),
  };
  const answer = await postJson(`${server.trim().replace(/\/+$/, '')}/v2/enqueue`, document, signal);
  if (answerOf(answer)['status'] !== 'success') throw notTaken(answer);
}
