/** Discord's webhooks: https://docs.discord.com/developers/resources/webhook#execute-webhook */
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { linesOf, shortened } from './plain-text.ts';
import { answerOf, notTaken, postJson } from './post-json.ts';

const colours = { info: 0x3498db, warning: 0xf1c40f, critical: 0xe74c3c };
const wellColour = 0x2ecc71;

/** Rejects unless Discord answers with the message that it has made (?wait=true). Nobody is mentioned by it. */
export async function sendDiscord({ url }: ChannelOf<'discord'>, notice: Notice, signal: AbortSignal): Promise<void> {
  const address = URL.parse((await url.fetch(signal)).reveal().trim());
  address?.searchParams.set('wait', 'true');
  const embed = {
    title: shortened(escaped(notice.title), 256),
    description: shortened(escaped(linesOf(notice).join('\n')), 4096),
    color: notice.outcome === 'failure' ? colours[notice.severity] : wellColour,
    timestamp: notice.at,
  };
  const document = { embeds: [embed], allowed_mentions: { parse: [] } };
  const answer = await postJson(address?.href ?? '', document, signal);
  if (typeof answerOf(answer)['id'] !== 'string') throw notTaken(answer);
}

/** Marks of Markdown stand for themselves, so that nothing becomes a link under another name. */
function escaped(text: string): string {
  return text.replaceAll(/[\\*_~`|>[\]()#]/g, String.raw`\$&`);
}
