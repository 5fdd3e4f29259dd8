/** All that a report tells of a time, from what status, the audit log, the schedules and the evidence say. */
import type { Config, TargetConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ListedManifest } from '../../repository/manifests/listing.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { rulesInWords } from '../../repository/retention/rules.ts';
import { auditLog, type AuditedRun } from '../audit/audit.ts';
import { withRepository } from '../open-repository.ts';
import { listKeys } from '../setup/keys.ts';
import type { StatusTarget } from '../status/request.ts';
import { status } from '../status/status.ts';
import { proofsWithin } from './proofs.ts';
import type { ReportDocument, ReportedAct, ReportedKey, ReportedProof, ReportedTarget } from './request.ts';
import { schedulesWithin } from './runs.ts';

const dayMs = 86_400_000;

/** Throws only what keeps it from looking at all. */
export async function gatherReport(
  loaded: LoadedConfig,
  { days, target }: { readonly days: number; readonly target?: string | undefined },
  context: RunContext,
): Promise<ReportDocument> {
  const nowMs = Date.now();
  const time = { fromMs: nowMs - days * dayMs, toMs: nowMs };
  // One after the other: each of them asks much of the storage.
  const state = await status(loaded, { days, target }, context);
  const audit = await auditLog(loaded, { sinceMs: time.fromMs, target }, context);
  const { keys } = await listKeys(loaded, {}, context);
  return withRepository(loaded, context, async (repository) => {
    const backups = await backupsOf(repository, target);
    const proofs = await proofsWithin(repository, time, backups);
    return {
      repository: state.repository,
      at: new Date(nowMs).toISOString(),
      from: new Date(time.fromMs).toISOString(),
      to: new Date(nowMs).toISOString(),
      days,
      verdict: state.verdict,
      incidents: state.reasons,
      targets: state.targets.map((each) =>
        reportedTarget(each, {
          config: loaded.config,
          within: backups.filter((backup) => backup.target === each.name && isWithin(backup.manifest, time)),
          runs: audit.records,
          proofs: proofs.get(each.name) ?? [],
        }),
      ),
      schedules: await schedulesWithin(repository, time, state.schedules, target),
      promises: promisesOf(loaded.config),
      immutability: immutabilityOf(loaded.config, repository),
      acts: audit.records.flatMap(actOf).toReversed(),
      auditFindings: audit.findings.map(({ kind, object, problem }) => `${kind}: ${object}: ${problem}`),
      keys: keys.map((key) => reportedKey(key, nowMs)),
      storedBytes: state.storage.storedBytes,
    };
  });
}

interface Counted {
  readonly id: string;
  readonly target: string;
  readonly seal: string | undefined;
  readonly manifest: Manifest;
}

/** Those that count. */
async function backupsOf(repository: Repository, only: string | undefined): Promise<Counted[]> {
  const found: Counted[] = [];
  for await (const listed of repository.listManifests()) {
    const counted = countedOf(listed);
    if (counted !== undefined && (only === undefined || counted.target === only)) found.push(counted);
  }
  return found;
}

function countedOf({ id, trust, seal, manifest }: ListedManifest): Counted | undefined {
  return trust === 'sealed' && manifest !== undefined ? { id, target: manifest.target, seal, manifest } : undefined;
}

function isWithin(
  { startedAt }: Manifest,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): boolean {
  const startedMs = Date.parse(startedAt);
  return startedMs >= fromMs && startedMs < toMs;
}

interface OfTarget {
  readonly config: Config;
  /** Its backups of the time. */
  readonly within: readonly Counted[];
  readonly runs: readonly AuditedRun[];
  readonly proofs: readonly ReportedProof[];
}

function reportedTarget(
  { name, newest, newestProven, restoreTime }: StatusTarget,
  { config, within, runs, proofs }: OfTarget,
): ReportedTarget {
  const components = within.flatMap(({ manifest }) => manifest.components);
  const sum = (of: 'readBytes' | 'newBytes' | 'storedBytes'): number =>
    components.reduce((bytes, component) => bytes + component[of], 0);
  const isFailed = ({ command, target, outcome }: AuditedRun): boolean =>
    command.startsWith('backup') && target === name && outcome === 'failed';
  return {
    name,
    backups: within.length,
    failedRuns: runs.filter(isFailed).length,
    readBytes: sum('readBytes'),
    newBytes: sum('newBytes'),
    storedBytes: sum('storedBytes'),
    newest: newest && { id: newest.id, at: newest.takenAt, state: newest.state },
    newestProven,
    proofs,
    restoreTime,
    retention: retentionOf(config, config.targets.get(name)),
  };
}

/** Of what is configured; of a target that is not any more, all. */
function retentionOf({ retention }: Config, target: TargetConfig | undefined): string[] {
  const { database, redis, files, walDays } = target?.retention ?? retention;
  const wal = walDays === undefined ? [] : [`write-ahead log: at least ${walDays} days`];
  const isThere = { database: target?.postgres, redis: target?.redis, files: target?.files };
  const rules = Object.entries({ database, redis, files })
    .filter(([name]) => target === undefined || isThere[name as keyof typeof isThere] !== undefined)
    .map(([name, policy]) => `${name}: ${inWords(rulesInWords(policy))}`);
  return [...rules, ...wal];
}

function inWords(rules: string): string {
  return rules === '' ? 'kept for ever' : `deleted when ${rules}`;
}

function promisesOf({ emergency }: Config): ReportDocument['promises'] {
  return Object.entries(emergency.scenarios).flatMap(([name, { title, rtoMinutes, rpoMinutes }]) =>
    rtoMinutes === undefined && rpoMinutes === undefined ? [] : [{ scenario: title ?? name, rtoMinutes, rpoMinutes }],
  );
}

function immutabilityOf({ repository: place, trashMs }: Config, { storage }: Repository): string {
  const lock = place?.kind === 's3' ? place.objectLock : undefined;
  const grace = `a deleted backup can be taken back for ${Math.round(trashMs / 3_600_000)} hours`;
  const locked =
    lock === undefined
      ? 'no object lock: who may delete in the storage can delete backups'
      : `object lock (${lock.mode}): nobody can delete a backup before it is ${lock.days} days old`;
  return [locked, ...(storage.capabilities.versions ? ['old versions are kept'] : []), grace].join('; ');
}

/** Of the commands that an auditor asks for. */
const actsPattern = /^(restore|pitr|emergency-restore|export|cleanup|undelete|keys|hold|release|acknowledge|unlock)\b/;

function actOf({ command, finishedAt: at, host, user, target, outcome, ids, deleted = [] }: AuditedRun): ReportedAct[] {
  if (!actsPattern.test(command)) return [];
  return [{ at, host, user, command, target, outcome, backups: ids, deleted: deleted.map(({ id }) => id) }];
}

function reportedKey({ id, createdAt, recipients, current }: Omit<ReportedKey, 'ageDays'>, nowMs: number): ReportedKey {
  return { id, createdAt, ageDays: Math.floor((nowMs - Date.parse(createdAt)) / dayMs), recipients, current };
}
