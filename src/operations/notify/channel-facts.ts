/** How the channels of this host are doing, from its state folder alone: for lists, status and metrics. */
import type { Channel, Config } from '../../config/config.ts';
import { Outbox } from './outbox.ts';
import { noticesFolder } from './place.ts';
import type { ChannelFacts } from './request.ts';

/** How the configured channels are doing, in their order. */
export async function channelFacts(config: Config): Promise<ChannelFacts[]> {
  return Promise.all([...config.notifications.channels.values()].map(async (channel) => factsOf(channel, config)));
}

async function factsOf({ name, type }: Channel, config: Config): Promise<ChannelFacts> {
  const outbox = new Outbox(noticesFolder(config), name);
  const [{ failingSince, lastError, nextTryMs, deliveredAt, dropped }, names] = await Promise.all([
    outbox.readState(),
    outbox.names(),
  ]);
  return {
    name,
    type,
    waiting: names.length,
    failingSince,
    problem: lastError,
    nextTryAt: nextTryMs === undefined ? undefined : new Date(nextTryMs).toISOString(),
    deliveredAt,
    dropped,
  };
}
