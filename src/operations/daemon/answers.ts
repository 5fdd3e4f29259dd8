/** What the daemon answers over HTTP. */
import type { Answer, Answers } from '../../lib/loopback-server.ts';
import { exposition } from '../metrics/exposition.ts';
import type { DaemonFacts } from './facts.ts';
import { health, readiness } from './health.ts';
import { daemonFamilies } from './metrics.ts';

/** `facts`: of the moment. */
export function daemonAnswers(facts: () => DaemonFacts): Answers {
  return {
    '/healthz': () => verdict(health(facts())),
    '/readyz': () => verdict(readiness(facts())),
    '/metrics': async () => ({ status: 200, body: await exposition(daemonFamilies(facts(), Date.now())) }),
  };
}

function verdict(faults: readonly string[]): Answer {
  return faults.length === 0 ? { status: 200, body: 'ok\n' } : { status: 503, body: `${faults.join('\n')}\n` };
}
