/** ntfy, by JSON to the server's root: https://docs.ntfy.sh/publish/#publish-as-json */
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { linesOf, shortened } from './plain-text.ts';
import { answerOf, notTaken, postJson } from './post-json.ts';

const priorities = { info: 3, warning: 4, critical: 5 };

/** Rejects unless it answers with the message that it has made. */
export async function sendNtfy({ url, token }: ChannelOf<'ntfy'>, notice: Notice, signal: AbortSignal): Promise<void> {
  const address = URL.parse((await url.fetch(signal)).reveal().trim());
  const path = address?.pathname.replace(/\/+$/, '') ?? '';
  const at = path.lastIndexOf('/') + 1;
  const topic = decodeURIComponent(path.slice(at));
  if (address === null || topic === '') throw new Error('what is configured is no URL of a topic of ntfy');
  const bearer = await token?.fetch(signal);
  const isBad = notice.outcome === 'failure';
  const document = {
    topic,
    title: shortened(notice.title, 250),
    message: shortened(linesOf(notice).join('\n'), 1000),
    priority: isBad ? priorities[notice.severity] : 3,
    tags: [isBad ? (notice.severity === 'critical' ? 'rotating_light' : 'warning') : 'white_check_mark'],
  };
  const root = `${address.origin}${path.slice(0, at)}`;
  const headers = bearer === undefined ? undefined : { authorization: `Bearer ${bearer.reveal().trim()}` };
  const answer = await postJson(root, document, signal, headers);
  if (typeof answerOf(answer)['id'] !== 'string') throw notTaken(answer);
}
