/** How the notification channels of this host are doing, as metrics. */
import type { Config } from '../../config/config.ts';
import { channelFacts } from '../notify/channel-facts.ts';
import type { ChannelFacts } from '../notify/request.ts';
import { gauge, sample, type Family, type Sample } from './family.ts';

/** By the state folder alone. */
export async function channelFamilies(config: Config): Promise<Family[]> {
  const channels = await channelFacts(config);
  const each = (value: (channel: ChannelFacts) => number | undefined): Sample[] =>
    channels.flatMap((one) => sample(value(one), { channel: one.name, type: one.type }));
  return [
    gauge(
      'lifeboat_notification_undelivered',
      'Messages that wait to be sent by a channel.',
      each(({ waiting }) => waiting),
    ),
    gauge(
      'lifeboat_notification_dropped',
      'Messages that were given up.',
      each(({ dropped }) => dropped),
    ),
    gauge(
      'lifeboat_notification_failing_timestamp_seconds',
      'Since when a channel has failed; absent where it has not.',
      each(({ failingSince }) => seconds(failingSince)),
    ),
    gauge(
      'lifeboat_notification_delivered_timestamp_seconds',
      'When it delivered a message last.',
      each(({ deliveredAt }) => seconds(deliveredAt)),
    ),
  ];
}

function seconds(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time) / 1000;
}
