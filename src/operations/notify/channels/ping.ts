/**
 * A check that wants to be called, such as those of healthchecks.io (https://healthchecks.io/docs/http_api/):
 * URL/start, URL after a good run, URL/<exit code> after a bad one, each with the run's id, the last two with the end
 * of its log.
 */
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { request } from '../../../lib/http-request.ts';
import { linesOf } from './plain-text.ts';
import { notTaken } from './post-json.ts';

/** healthchecks.io keeps 100 kB. */
const mostLogCharacters = 50_000;

/** A notice that is no ping, a test, goes to URL/log, which changes nothing of the check. */
export async function sendPing({ url }: ChannelOf<'ping'>, notice: Notice, signal: AbortSignal): Promise<void> {
  const address = URL.parse((await url.fetch(signal)).reveal().trim());
  const { ping, exitCode = 1 } = notice;
  const end = { start: '/start', success: '', failure: `/${Math.min(255, Math.max(1, exitCode))}`, log: '/log' };
  if (address !== null) {
    address.pathname = address.pathname.replace(/\/+$/, '') + end[ping?.signal ?? 'log'];
    if (ping !== undefined) address.searchParams.set('rid', ping.run);
  }
  const body = [notice.title, ...linesOf(notice), ...(ping?.log ?? [])].join('\n').slice(0, mostLogCharacters);
  const headers = { 'content-type': 'text/plain; charset=utf-8' };
  const answer = await request(address?.href ?? '', { body, headers }, signal);
  // "OK (not found)" and "OK (rate limited)" come with 200.
  if (answer.text.trim().startsWith('OK (')) throw notTaken(answer);
}
