/**
 * What the daemon knows in Prometheus' text format (version 0.0.4). Only what is measured: what the repository was
 * asked for is left out where it did not answer lately, and lifeboat_repository_up says so; no last good value stays.
 */
import { programVersion } from '../../lib/version.ts';
import type { DaemonFacts } from './facts.ts';
import { isRepositoryUp } from './health.ts';

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** The whole document. */
export function metricsText(facts: DaemonFacts): string {
  return families(facts)
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, type, help, samples }) =>
      [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map((each) => line(name, each)), ''].join('\n'),
    )
    .join('');
}

function families(facts: DaemonFacts): Family[] {
  const { survey } = facts;
  const gauge = (name: string, help: string, samples: readonly Sample[]): Family => {
    return { name: `lifeboat_${name}`, type: 'gauge', help, samples };
  };
  return [
    gauge('build_info', 'Version of lifeboat.', [{ labels: { version: programVersion() }, value: 1 }]),
    gauge('daemon_loop_timestamp_seconds', 'When the loop turned last.', time(facts.turnedMs)),
    gauge('daemon_config_timestamp_seconds', 'When the configuration in force was read.', time(facts.configReadMs)),
    gauge('daemon_config_current', '0: what was to be read last did not parse, and an older one is in force.', [
      { value: facts.isConfigCurrent ? 1 : 0 },
    ]),
    gauge('repository_up', '1: the repository answered when it was asked last, lately.', [
      { value: isRepositoryUp(facts) ? 1 : 0 },
    ]),
    gauge('repository_answer_timestamp_seconds', 'When the repository answered last.', time(survey.atMs)),
    ...ofSchedules(facts, gauge),
    ...ofJobs(facts, gauge),
  ];
}

type Gauge = (name: string, help: string, samples: readonly Sample[]) => Family;

/** By the records in the repository, of whichever host; the next moment by the clock. */
function ofSchedules(facts: DaemonFacts, gauge: Gauge): Family[] {
  const { survey, schedules } = facts;
  const seen = isRepositoryUp(facts) ? survey.schedules : [];
  const each = (value: (id: string) => number | undefined): Sample[] =>
    schedules.flatMap(({ id, type }) => of(value(id), { schedule: id, type }));
  const seconds = (key: 'successMs' | 'failureMs') => (id: string) => {
    const ms = seen.find((one) => one.id === id)?.[key];
    return ms === undefined ? undefined : ms / 1000;
  };
  const nextMs = new Map(schedules.map((one) => [one.id, one.nextMs]));
  const nextOf = (id: string): number | undefined => {
    const ms = nextMs.get(id);
    return ms === undefined ? undefined : ms / 1000;
  };
  return [
    gauge('schedule_next_due_timestamp_seconds', 'The next moment of a schedule.', each(nextOf)),
    gauge('schedule_last_success_timestamp_seconds', 'When a slot ended well last.', each(seconds('successMs'))),
    gauge('schedule_last_failure_timestamp_seconds', 'When an attempt failed last.', each(seconds('failureMs'))),
    gauge(
      'schedule_missed_slots',
      'Moments past their grace time that have not come to a good end since the last one that has.',
      each((id) => seen.find((one) => one.id === id)?.missed),
    ),
  ];
}

function ofJobs({ jobs, ended }: DaemonFacts, gauge: Gauge): Family[] {
  const running = (value: (job: DaemonFacts['jobs'][number]) => number): Sample[] =>
    jobs.map((job) => ({ labels: { schedule: job.id }, value: value(job) }));
  const attempts = [...ended].flatMap(([schedule, outcomes]) =>
    [...outcomes].map(([outcome, value]) => ({ labels: { schedule, outcome }, value })),
  );
  return [
    gauge('jobs_running', 'Jobs that run now.', [{ value: jobs.length }]),
    gauge(
      'job_start_timestamp_seconds',
      'When a running job was begun.',
      running(({ sinceMs }) => sinceMs / 1000),
    ),
    gauge(
      'job_moved_bytes',
      'Bytes that a running job has moved.',
      running(({ movedBytes }) => movedBytes),
    ),
    gauge(
      'job_moved_timestamp_seconds',
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

function time(ms: number | undefined): Sample[] {
  return ms === undefined ? [] : [{ value: ms / 1000 }];
}

function of(value: number | undefined, labels: Record<string, string>): Sample[] {
  return value === undefined ? [] : [{ labels, value }];
}

function line(name: string, { labels = {}, value }: Sample): string {
  const text = Object.entries(labels)
    .map(([key, each]) => `${key}="${each.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
    .join(',');
  return `${name}${text === '' ? '' : `{${text}}`} ${value}`;
}
