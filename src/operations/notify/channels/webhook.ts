/**
 * A JSON document to a URL, signed as Standard Webhooks 1.1 has it
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): the id is that of the
 * message, however often it is sent, the time that of the attempt.
 */
import { createHmac } from 'node:crypto';
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { filledTemplate } from './body-template.ts';
import { documentOf } from './document.ts';
import { request } from '../../../lib/http-request.ts';

/** Rejects unless it is answered with 2xx, and with no document that says otherwise. */
export async function sendWebhook(
  { url, token, secret, body }: ChannelOf<'webhook'>,
  notice: Notice,
  signal: AbortSignal,
): Promise<void> {
  const [address, bearer, keys] = await Promise.all([url, token, secret].map(async (each) => each?.fetch(signal)));
  const text = JSON.stringify(body === undefined ? documentOf(notice) : filledTemplate(body, notice));
  const id = `msg_${notice.id}`;
  const seconds = String(Math.floor(Date.now() / 1000));
  const { text: answer } = await request(
    address?.reveal() ?? '',
    {
      body: text,
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': seconds,
        ...(keys === undefined ? {} : { 'webhook-signature': signatures(keys.reveal(), id, seconds, text) }),
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer.reveal().trim()}` }),
      },
    },
    signal,
  );
  refuseError(answer);
}

/** One for each key, separated by blanks: while keys are changed both are good. */
export function signatures(keys: string, id: string, seconds: string, body: string): string {
  return keys
    .trim()
    .split(/\s+/)
    .map((key) => {
      const bytes = Buffer.from(key.replace(/^whsec_/, ''), 'base64');
      if (bytes.length < 24) throw new Error('the key of its signature is not whsec_ and base64 of 24 to 64 bytes');
      return `v1,${createHmac('sha256', bytes).update(`${id}.${seconds}.${body}`).digest('base64')}`;
    })
    .join(' ');
}

/** Some answer 200 whatever became of it. */
function refuseError(answer: string): void {
  const { ok, success, error, errors, status } = (parsed(answer) ?? {}) as Readonly<Record<string, unknown>>;
  const isBad =
    ok === false ||
    success === false ||
    (typeof error === 'string' && error !== '') ||
    (typeof error === 'object' && error !== null) ||
    (Array.isArray(errors) && errors.length > 0) ||
    status === 'error' ||
    status === 'failed';
  if (isBad) throw new Error(`it was answered that it failed: ${answer.slice(0, 200)}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
