/** Steps whose time is reported. */
import type { RunContext } from '../../../lib/events.ts';

/** Runs a step, emits its time, returns it in seconds. */
export async function timed(name: string, context: RunContext, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  context.emit({ type: 'timing', component: 'postgres', name, seconds });
  return seconds;
}
