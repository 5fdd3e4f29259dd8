/**
 * Microsoft Teams, by a workflow "when a webhook request is received":
 * https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
 */
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { linesOf, markOf, shortened } from './plain-text.ts';
import { notTaken, postJson } from './post-json.ts';

/** Workflows answer 202 and nothing; connectors before them 200 and "1", or 200 and the error. */
export async function sendTeams({ url }: ChannelOf<'teams'>, notice: Notice, signal: AbortSignal): Promise<void> {
  const address = await url.fetch(signal);
  const block = (text: string, more: object = {}): object => ({ type: 'TextBlock', text, wrap: true, ...more });
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body: [
      block(`${markOf(notice)} ${escaped(notice.title)}`, { weight: 'Bolder', size: 'Medium' }),
      ...linesOf(notice).map((line) => block(shortened(escaped(line), 4000))),
    ],
  };
  const contentType = 'application/vnd.microsoft.card.adaptive';
  const document = { type: 'message', attachments: [{ contentType, contentUrl: null, content }] };
  const answer = await postJson(address.reveal(), document, signal);
  if (answer.status !== 202 && !['', '1'].includes(answer.text.trim())) throw notTaken(answer);
}

/** A card reads a part of Markdown. */
function escaped(text: string): string {
  return text.replaceAll(/[\\*_[\]()`]/g, String.raw`\$&`);
}
