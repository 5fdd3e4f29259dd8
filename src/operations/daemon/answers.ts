/** What the daemon answers over HTTP. */
import type { Answer, Answers } from '../../lib/loopback-server.ts';
import { exposition } from '../metrics/exposition.ts';
import type { Family } from '../metrics/family.ts';
import type { DaemonFacts } from './facts.ts';
import { health, readiness } from './health.ts';
import { daemonFamilies } from './metrics.ts';

/** `facts`: of the moment. `channels`: those of the configuration in force, as metrics. */
export function daemonAnswers(facts: () => DaemonFacts, channels: () => Promise<Family[]>): Answers {
  return {
    '/healthz': () => verdict(health(facts())),
    '/readyz': () => verdict(readiness(facts())),
    '/metrics': async () => {
      const families = [...daemonFamilies(facts(), Date.now()), ...(await channels())];
      return { status: 200, body: await exposition(families) };
    },
  };
}

function verdict(faults: readonly string[]): Answer {
  return faults.length === 0 ? { status: 200, body: 'ok\n' } : { status: 503, body: `${faults.join('\n')}\n` };
}
