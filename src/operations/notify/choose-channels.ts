/** The channels that a command means. */
import type { Channel, Config } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/suggest.ts';

/** That one, or all. Throws `usage` where there is none. */
export function chosenChannels({ notifications }: Config, name: string | undefined): Channel[] {
  const { channels } = notifications;
  if (channels.size === 0) {
    throw new LifeboatError('usage', 'no notification channel is configured', {
      hint: 'add one to notifications.channels; see man lifeboat-notify(1)',
    });
  }
  if (name === undefined) return [...channels.values()];
  const found = channels.get(name);
  if (found !== undefined) return [found];
  const known = [...channels.keys()];
  throw new LifeboatError('usage', `there is no notification channel "${name}"${didYouMean(name, known)}`, {
    hint: `configured: ${known.join(', ')}`,
  });
}
