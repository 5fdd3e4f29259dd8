/**
 * The metrics of a repository. Times are moments (…_timestamp_seconds), from which the reader makes ages that grow also
 * where nobody looks any more; ages stand beside them for readers that cannot. Labels are names of the configuration,
 * never ids. Pure.
 */
import { gauge, sample, type Family, type Sample } from './family.ts';
import type { RepositoryFacts, ScheduleFacts, TargetFacts, WalFacts } from './facts.ts';

/** `service`: what the label of that name says, in the metrics that earlier systems' dashboards know. */
export function repositoryFamilies(facts: RepositoryFacts, service: string, nowMs: number): Family[] {
  return [
    ...ofVerdict(facts),
    ...ofBackups(facts.targets, nowMs),
    ...ofProofs(facts.targets, nowMs),
    ...ofRuns(facts.targets),
    ...ofWal(facts.wal, nowMs),
    ...ofSchedules(facts.schedules, nowMs),
    ...ofStorage(facts),
    ...ofEarlierSystems(facts, service),
  ];
}

const verdicts = { healthy: 0, degraded: 1, unhealthy: 2 } as const;

function ofVerdict({ verdict, reasons }: RepositoryFacts): Family[] {
  return [
    gauge('lifeboat_status_verdict', 'As lifeboat status has it: 0 healthy, 1 degraded, 2 unhealthy.', [
      { value: verdicts[verdict] },
    ]),
    gauge(
      'lifeboat_status_reasons',
      'What stands against that verdict being healthy, by weight.',
      Object.entries(reasons).map(([weight, value]) => ({ labels: { weight }, value })),
    ),
  ];
}

function ofBackups(targets: readonly TargetFacts[], nowMs: number): Family[] {
  const each = componentsOf(targets);
  return [
    gauge(
      'lifeboat_backups',
      'Backups that are there and count.',
      each(({ backups }) => backups),
    ),
    gauge(
      'lifeboat_newest_backup_timestamp_seconds',
      'When the newest backup was taken.',
      each(({ newestMs }) => seconds(newestMs)),
    ),
    gauge(
      'lifeboat_newest_backup_age_seconds',
      'How long ago that is.',
      each(({ newestMs }) => age(newestMs, nowMs)),
    ),
    gauge(
      'lifeboat_newest_proven_backup_timestamp_seconds',
      'When the newest backup was taken that a drill has proven.',
      each(({ provenMs }) => seconds(provenMs)),
    ),
    gauge(
      'lifeboat_newest_proven_backup_age_seconds',
      'How long ago that is.',
      each(({ provenMs }) => age(provenMs, nowMs)),
    ),
    gauge(
      'lifeboat_protected_bytes',
      'Bytes that all backups of a target stand for.',
      of(targets, ({ analytics }) => analytics.readBytes),
    ),
    gauge(
      'lifeboat_backup_stored_bytes',
      'Bytes that they have added to the repository.',
      of(targets, ({ analytics }) => analytics.storedBytes),
    ),
    gauge(
      'lifeboat_dedup_ratio',
      'Bytes protected for each byte stored.',
      of(targets, ({ analytics }) => analytics.ratio),
    ),
  ];
}

function ofProofs(targets: readonly TargetFacts[], nowMs: number): Family[] {
  return [
    gauge(
      'lifeboat_last_proof_timestamp_seconds',
      'When a drill has proven a backup of the target last.',
      of(targets, ({ proofMs }) => seconds(proofMs)),
    ),
    gauge(
      'lifeboat_last_proof_age_seconds',
      'How long ago that is.',
      of(targets, ({ proofMs }) => age(proofMs, nowMs)),
    ),
    gauge(
      'lifeboat_restore_estimate_seconds',
      'How long a restore of the newest backup takes; basis: measured by a drill, or assumed.',
      targets.flatMap(({ name, restore }) =>
        sample(seconds(restore?.ms), { target: name, basis: restore?.basis ?? '' }),
      ),
    ),
  ];
}

function ofRuns(targets: readonly TargetFacts[]): Family[] {
  return [
    gauge(
      'lifeboat_backup_successes',
      'Backups of the last 30 days that ended well.',
      of(targets, ({ analytics }) => analytics.successes),
    ),
    gauge(
      'lifeboat_backup_failures',
      'Backups of the last 30 days that failed, as far as this host knows.',
      of(targets, ({ analytics }) => analytics.failures),
    ),
    gauge(
      'lifeboat_backup_duration_seconds',
      'How long the newest backup of a type took.',
      targets.flatMap(({ name, newest }) =>
        newest.flatMap(({ type, durationMs }) => sample(seconds(durationMs), { target: name, type })),
      ),
    ),
    gauge(
      'lifeboat_backup_end_timestamp_seconds',
      'When the newest backup of a type was done.',
      targets.flatMap(({ name, newest }) =>
        newest.flatMap(({ type, endedMs }) => sample(seconds(endedMs), { target: name, type })),
      ),
    ),
  ];
}

function ofWal(wal: readonly WalFacts[], nowMs: number): Family[] {
  const each = (value: (one: WalFacts) => number | undefined): Sample[] =>
    wal.flatMap((one) => sample(value(one), { target: one.target }));
  return [
    gauge(
      'lifeboat_recoverable_begin_timestamp_seconds',
      'The earliest moment that can be recovered by write-ahead log.',
      each(({ beginMs }) => seconds(beginMs)),
    ),
    gauge(
      'lifeboat_recoverable_end_timestamp_seconds',
      'The latest one.',
      each(({ endMs }) => seconds(endMs)),
    ),
    gauge(
      'lifeboat_wal_gaps',
      'Places between them where log is missing.',
      each(({ gaps }) => gaps),
    ),
    gauge(
      'lifeboat_wal_archived_timestamp_seconds',
      'When log was archived last.',
      each(({ archivedMs }) => seconds(archivedMs)),
    ),
    gauge(
      'lifeboat_wal_archived_age_seconds',
      'How long ago that is.',
      each(({ archivedMs }) => age(archivedMs, nowMs)),
    ),
    gauge(
      'lifeboat_wal_lag_bytes',
      'How far the server is ahead of what is archived; absent where it does not answer.',
      each(({ lagBytes }) => lagBytes),
    ),
    gauge(
      'lifeboat_wal_archiver_failing',
      "1: the server's last attempt to archive failed.",
      each(({ isFailing }) => (isFailing === undefined ? undefined : Number(isFailing))),
    ),
  ];
}

function ofSchedules(schedules: readonly ScheduleFacts[], nowMs: number): Family[] {
  const each = (value: (one: ScheduleFacts) => number | undefined): Sample[] =>
    schedules.flatMap((one) => sample(value(one), { schedule: one.id, type: one.type, target: one.target }));
  return [
    gauge(
      'lifeboat_schedule_last_due_timestamp_seconds',
      'The latest moment of a schedule, run or not.',
      each(({ dueMs }) => seconds(dueMs)),
    ),
    gauge(
      'lifeboat_schedule_next_due_timestamp_seconds',
      'The next moment of a schedule.',
      each(({ nextMs }) => seconds(nextMs)),
    ),
    gauge(
      'lifeboat_schedule_last_success_timestamp_seconds',
      'When a slot ended well last.',
      each(({ successMs }) => seconds(successMs)),
    ),
    gauge(
      'lifeboat_schedule_last_failure_timestamp_seconds',
      'When an attempt failed last.',
      each(({ failureMs }) => seconds(failureMs)),
    ),
    gauge(
      'lifeboat_schedule_missed_slots',
      'Moments past their grace time that have not come to a good end since the last one that has.',
      each(({ missed }) => missed),
    ),
    gauge(
      'lifeboat_schedule_overdue_seconds',
      'How long ago the first of them was; 0: there is none.',
      each(({ missedSinceMs }) => age(missedSinceMs, nowMs) ?? 0),
    ),
  ];
}

function ofStorage({ storage }: RepositoryFacts): Family[] {
  const { storedBytes, freeBytes, capacityBytes, budgetBytes, packBytes, deadBytes } = storage;
  return [
    gauge('lifeboat_repository_stored_bytes', 'Bytes of all backups in the repository.', sample(storedBytes)),
    gauge('lifeboat_repository_free_bytes', 'Room on its file system.', sample(freeBytes)),
    gauge('lifeboat_repository_capacity_bytes', 'Size of its file system.', sample(capacityBytes)),
    gauge('lifeboat_repository_budget_bytes', 'What backups may take, as configured.', sample(budgetBytes)),
    gauge('lifeboat_repository_pack_bytes', 'Bytes of the packs that backups use.', sample(packBytes)),
    gauge('lifeboat_repository_dead_bytes', 'At most so much of them is needed by no backup.', sample(deadBytes)),
  ];
}

/** Under the names that dashboards of earlier systems use; of all targets together. */
function ofEarlierSystems({ targets, storage }: RepositoryFacts, service: string): Family[] {
  const labels = { service };
  const sum = (value: (target: TargetFacts) => number): number => targets.reduce((total, one) => total + value(one), 0);
  const [successes, failures] = [
    sum(({ analytics }) => analytics.successes),
    sum(({ analytics }) => analytics.failures),
  ];
  const newest = targets.flatMap((target) => target.newest);
  const types = [...new Set(newest.map(({ type }) => type))];
  return [
    gauge('backup_total_backups', 'Backups in the repository.', [
      { labels, value: sum(({ analytics }) => analytics.backups) },
    ]),
    gauge(
      'backup_success_rate',
      'Share of the backups of the last 30 days that ended well, 0 to 1.',
      sample(successes + failures === 0 ? undefined : successes / (successes + failures), labels),
    ),
    gauge('backup_storage_used', 'Bytes of all backups in the repository.', [{ labels, value: storage.storedBytes }]),
    gauge(
      'backup_last_success_time',
      'When the newest backup was done, in seconds since 1970.',
      sample(seconds(latest(newest.map(({ endedMs }) => endedMs))), labels),
    ),
    gauge(
      'backup_duration_seconds',
      'How long the newest backup of a type took.',
      types.flatMap((type) => {
        const own = newest.filter((each) => each.type === type).toSorted((a, b) => b.endedMs - a.endedMs);
        return sample(seconds(own[0]?.durationMs), { ...labels, type });
      }),
    ),
  ];
}

type ComponentFacts = TargetFacts['components'][number];

function componentsOf(targets: readonly TargetFacts[]) {
  return (value: (component: ComponentFacts) => number | undefined): Sample[] =>
    targets.flatMap(({ name, components }) =>
      components.flatMap((one) => sample(value(one), { target: name, component: one.name })),
    );
}

function of(targets: readonly TargetFacts[], value: (target: TargetFacts) => number | undefined): Sample[] {
  return targets.flatMap((target) => sample(value(target), { target: target.name }));
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

/** A clock that was set back makes nothing younger than new. */
function age(ms: number | undefined, nowMs: number): number | undefined {
  return ms === undefined ? undefined : Math.max(0, nowMs - ms) / 1000;
}

function latest(times: readonly number[]): number | undefined {
  return times.length === 0 ? undefined : Math.max(...times);
}
