/** Slack's incoming webhooks: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { linesOf, markOf, shortened } from './plain-text.ts';
import { notTaken, postJson } from './post-json.ts';

/** Rejects unless Slack answers "ok": errors such as invalid_payload come with other statuses, or with this one. */
export async function sendSlack({ url }: ChannelOf<'slack'>, notice: Notice, signal: AbortSignal): Promise<void> {
  const address = await url.fetch(signal);
  const text = shortened([`${markOf(notice)} *${notice.title}*`, ...linesOf(notice)].join('\n'), 12_000);
  const answer = await postJson(address.reveal(), { text: escaped(text), unfurl_links: false }, signal);
  if (answer.text.trim() !== 'ok') throw notTaken(answer);
}

/** Otherwise a name in a message could address everybody (<!channel>). */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
