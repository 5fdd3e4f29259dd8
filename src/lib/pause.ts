/** Waiting that an abort ends as it ends all else: with its own reason, and not with Node's word for it. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Rejects with the reason of the abort. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return sleep(ms);
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error;
  });
}
