/**
 * What the daemon knows, as metrics: of itself and of its jobs, and of the repository what its last look has found. No
 * last good value stays: where the repository did not answer lately, lifeboat_repository_up says so, and the rest of it
 * is left out. Pure.
 */
import { answerFamilies, programFamilies } from '../metrics/collect.ts';
import { repositoryFamilies } from '../metrics/families.ts';
import { gauge, sample, type Family, type Sample } from '../metrics/family.ts';
import type { DaemonFacts } from './facts.ts';
import { isRepositoryUp } from './health.ts';

export function daemonFamilies(facts: DaemonFacts, nowMs: number): Family[] {
  const { survey, service } = facts;
  const isUp = isRepositoryUp(facts);
  return [
    ...programFamilies(),
    ...ofDaemon(facts),
    ...ofJobs(facts),
    ...answerFamilies(survey.atMs, isUp, nowMs),
    ...(isUp && survey.facts !== undefined ? repositoryFamilies(survey.facts, service, nowMs) : []),
  ];
}

function ofDaemon({ turnedMs, configReadMs, isConfigCurrent, schedules }: DaemonFacts): Family[] {
  return [
    gauge('lifeboat_daemon_loop_timestamp_seconds', 'When the loop turned last.', sample(turnedMs / 1000)),
    gauge(
      'lifeboat_daemon_config_timestamp_seconds',
      'When the configuration in force was read.',
      sample(configReadMs / 1000),
    ),
    gauge(
      'lifeboat_daemon_config_current',
      '0: what was to be read last did not parse, and an older one is in force.',
      sample(Number(isConfigCurrent)),
    ),
    gauge(
      'lifeboat_daemon_schedule_next_timestamp_seconds',
      'When the daemon will look at a schedule of its own next.',
      schedules.flatMap(({ id, type, nextMs }) =>
        sample(nextMs === undefined ? undefined : nextMs / 1000, { schedule: id, type }),
      ),
    ),
  ];
}

function ofJobs({ jobs, ended }: DaemonFacts): Family[] {
  const running = (value: (job: DaemonFacts['jobs'][number]) => number): Sample[] =>
    jobs.map((job) => ({ labels: { schedule: job.id }, value: value(job) }));
  const attempts = [...ended].flatMap(([schedule, outcomes]) =>
    [...outcomes].map(([outcome, value]) => ({ labels: { schedule, outcome }, value })),
  );
  return [
    gauge('lifeboat_jobs_running', 'Jobs that run now.', sample(jobs.length)),
    gauge(
      'lifeboat_job_start_timestamp_seconds',
      'When a running job was begun.',
      running(({ sinceMs }) => sinceMs / 1000),
    ),
    gauge(
      'lifeboat_job_moved_bytes',
      'Bytes that a running job has moved.',
      running(({ movedBytes }) => movedBytes),
    ),
    gauge(
      'lifeboat_job_moved_timestamp_seconds',
      'When that grew last.',
      running(({ movedMs }) => movedMs / 1000),
    ),
    {
      name: 'lifeboat_attempts_total',
      type: 'counter',
      help: 'Attempts at slots that have ended since the daemon was started.',
      samples: attempts,
    },
  ];
}
