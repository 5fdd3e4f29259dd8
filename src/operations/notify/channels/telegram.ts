/** Telegram's bots: https://core.telegram.org/bots/api#sendmessage */
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { linesOf, markOf, shortened } from './plain-text.ts';
import { answerOf, notTaken, postJson } from './post-json.ts';

const mostCharacters = 4096;

/** Rejects unless it answers ok: true. Without parse_mode nothing in the text is markup. */
export async function sendTelegram(
  { url, token, chat }: ChannelOf<'telegram'>,
  notice: Notice,
  signal: AbortSignal,
): Promise<void> {
  const [server, bot] = [(await url?.fetch(signal))?.reveal() ?? 'https://api.telegram.org', await token.fetch(signal)];
  const text = shortened([`${markOf(notice)} ${notice.title}`, ...linesOf(notice)].join('\n'), mostCharacters);
  const address = `${server.trim().replace(/\/+$/, '')}/bot${encodeURI(bot.reveal().trim())}/sendMessage`;
  const document = { chat_id: chat, text, link_preview_options: { is_disabled: true } };
  const answer = await postJson(address, document, signal);
  if (answerOf(answer)['ok'] !== true) throw notTaken(answer);
}
