/** Whether the daemon is well, and ready: what is wrong, in words; nothing if all is well. Pure. */
import type { DaemonFacts } from './facts.ts';

/** The loop turns every half minute at least. */
const stuckMs = 90_000;
/** The repository is asked every five minutes. */
const staleMs = 900_000;

/** For /healthz: whoever restarts it does so only where its loop does not turn. */
export function health({ turnedAgoMs }: DaemonFacts): string[] {
  return turnedAgoMs <= stuckMs ? [] : [`the loop has not turned for ${Math.round(turnedAgoMs / 1000)} s`];
}

/** For /readyz: does it do its work? */
export function readiness(facts: DaemonFacts): string[] {
  const { isStopping, isConfigCurrent } = facts;
  return [
    ...health(facts),
    ...(isStopping ? ['stopping'] : []),
    ...(isConfigCurrent ? [] : ['the configuration that was to be read last is wrong: an older one is in force']),
    ...(isRepositoryUp(facts) ? [] : ['the repository has not answered lately']),
  ];
}

/** What was seen in the repository is of the last quarter of an hour. */
export function isRepositoryUp({ survey }: Pick<DaemonFacts, 'survey'>): boolean {
  return survey.isUp && survey.agoMs !== undefined && survey.agoMs <= staleMs;
}
