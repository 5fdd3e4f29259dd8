/** One message by one channel; the module of its type is loaded when it is used first. */
import type { Channel } from '../../config/config.ts';
import type { Notice } from './notice.ts';

/** Rejects unless the other side has taken it; the message of the error holds no secret. */
export async function send(channel: Channel, notice: Notice, signal: AbortSignal): Promise<void> {
  switch (channel.type) {
    case 'webhook':
      return (await import('./channels/webhook.ts')).sendWebhook(channel, notice, signal);
    default:
      throw new Error(`channels of type ${channel.type} are not there yet`);
  }
}
