/**
 * `metrics --serve`: answers /metrics from the last look, and looks anew now and then. Nobody's scrape lists a
 * repository, and a look that fails is shown as that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import { listen, type Answers, type ListenAddress } from '../../lib/loopback-server.ts';
import { answerFamilies, look, lookFamilies, programFamilies, type Look } from './collect.ts';
import { channelFamilies } from './channel-families.ts';
import { exposition } from './exposition.ts';

export interface ServeMetrics {
  readonly address: ListenAddress;
  readonly everyMs: number;
  /** It listens, and has looked once. */
  readonly onReady: () => void;
}

/** So many times as long as a look takes it rests at least: a large repository is not looked at all the time. */
const restFactor = 10;

/** Until the signal, which is its good end. */
export async function serveMetrics(
  loaded: LoadedConfig,
  { address, everyMs, onReady }: ServeMetrics,
  context: RunContext,
): Promise<void> {
  let last: Look | undefined;
  let answered: { readonly look: Look; readonly steadyMs: number } | undefined;
  const text = async (): Promise<string> => {
    const nowMs = Date.now();
    if (last === undefined) return exposition(programFamilies());
    const isFresh = answered !== undefined && performance.now() - answered.steadyMs <= staleAfter(everyMs, last);
    if (last.facts !== undefined && isFresh) return exposition(await lookFamilies(last, loaded.config, nowMs));
    const channels = await channelFamilies(loaded.config);
    return exposition([...programFamilies(), ...answerFamilies(answered?.look.atMs, false, nowMs), ...channels]);
  };
  const answers: Answers = {
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/metrics': async () => ({ status: 200, body: await text() }),
  };
  await using _ = await listen(address, answers);
  try {
    for (;;) {
      const isFirst = last === undefined;
      last = await look(loaded, context);
      if (last.failure !== undefined) context.emit({ type: 'warning', message: last.failure.message });
      if (last.facts !== undefined) answered = { look: last, steadyMs: performance.now() };
      if (isFirst) onReady();
      await sleep(Math.max(everyMs, restFactor * last.tookMs), undefined, { signal: context.signal });
    }
  } catch (error) {
    if (!context.signal.aborted) throw error;
  }
}

/** A look that hangs must not keep the one before it in force. */
function staleAfter(everyMs: number, { tookMs }: Look): number {
  return 3 * Math.max(everyMs, restFactor * tookMs);
}
