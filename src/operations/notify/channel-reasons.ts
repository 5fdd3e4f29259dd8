/** Channels that fail, as status tells them. */
import type { Config } from '../../config/config.ts';
import { counted } from '../../lib/units.ts';
import { channelFacts } from './channel-facts.ts';

/** One failed attempt may pass. */
const failsAfterMs = 300_000;

export interface ChannelProblem {
  readonly id: string;
  readonly message: string;
  readonly next: string;
}

/** Those that have not delivered for some minutes, or have given something up. */
export async function channelProblems(config: Config, nowMs: number): Promise<ChannelProblem[]> {
  const facts = await channelFacts(config);
  return facts.flatMap(({ name, waiting, failingSince, problem = '', dropped }) => {
    const isFailing = failingSince !== undefined && nowMs - Date.parse(failingSince) >= failsAfterMs;
    if (!isFailing && dropped === 0) return [];
    const lost = dropped === 0 ? '' : `, ${counted(dropped, 'message')} given up`;
    const since = failingSince === undefined ? '' : ` since ${failingSince}`;
    const left = `${counted(waiting, 'message')} not sent${lost}`;
    const message = `the notification channel ${name} has failed${since} (${problem}); ${left}`;
    return [{ id: `channel:${name}`, message, next: `lifeboat notify test ${name}` }];
  });
}
