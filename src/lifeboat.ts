/**
 * Lifeboat in a program: each method is one operation, the same that the command of its name runs. Only
 * the surroundings are the program's: nothing is printed, no signal is listened to, no question asked
 * on a terminal. The configuration is loaded anew for each operation, with the secrets that it needs,
 * so that a password that was changed meanwhile is the new one.
 */
import type { EventSink, LifeboatEvent } from './lib/events.ts';
import {
  LibraryCalls,
  type CallOptions,
  type LoadOperation,
  type OpenOptions,
  type ReadOptions,
} from './library-calls.ts';
import type { AuditRequest, AuditResult } from './operations/audit/audit.ts';
import type { ReportOptions, ReportResult } from './operations/report/request.ts';
import type { BackupOptions, BackupResult } from './operations/backup/request.ts';
import type {
  CleanupOptions,
  CleanupResult,
  HoldOptions,
  HoldResult,
  ReleaseOptions,
  UndeleteOptions,
  UndeleteResult,
} from './operations/cleanup/request.ts';
import type { RunbookOptions, RunbookResult } from './operations/emergency/runbook.ts';
import type { MetricsOptions, MetricsResult } from './operations/metrics/request.ts';
import type { EmergencyStatusRequest, EmergencyStatusResult } from './operations/emergency/status.ts';
import type { IntegrityOptions, RepositoryAccount } from './operations/integrity/request.ts';
import type { ListRequest, ListResult, ShowRequest, ShowResult } from './operations/list/request.ts';
import type {
  NotifyFlushOptions,
  NotifyFlushResult,
  NotifyListResult,
  NotifyTestOptions,
  NotifyTestResult,
} from './operations/notify/request.ts';
import type { PitrOptions, PitrResult, RestorePointRequest, RestorePointResult } from './operations/pitr/request.ts';
import type {
  RestoreOptions,
  RestoreResult,
  UndoRestoreOptions,
  UndoRestoreResult,
} from './operations/restore/request.ts';
import type {
  InitOptions,
  InitResult,
  KeysAddRequest,
  KeysChangeResult,
  KeysGenerateOptions,
  KeysGenerateResult,
  KeysListResult,
  KeysRemoveOptions,
  UnlockOptions,
  UnlockResult,
} from './operations/setup/request.ts';
import type {
  AcknowledgeOptions,
  AcknowledgeResult,
  StatusOptions,
  StatusResult,
} from './operations/status/request.ts';
import type { ValidateOptions, ValidateResult } from './operations/validate/request.ts';
import type {
  WalFetchOptions,
  WalFetchResult,
  WalPushOptions,
  WalPushResult,
  WalStatusRequest,
  WalStatusResult,
} from './operations/wal/request.ts';
import type { DoctorRequest, DoctorResult } from './operations/doctor/request.ts';
import type { DrillOptions, DrillResult } from './operations/drill/request.ts';
import type { ExportOptions, ExportResult } from './operations/restore/export.ts';
import type { EmergencyOptions, EmergencyResult } from './operations/emergency/request.ts';

/** Finds and checks the configuration. Throws LifeboatError `usage` that tells all faults at once. */
export async function openLifeboat(options: OpenOptions = {}): Promise<Lifeboat> {
  const lifeboat = new Lifeboat(options);
  await lifeboat.check();
  return lifeboat;
}

/**
 * A configured Lifeboat; openLifeboat() makes one. Methods reject with LifeboatError for what an operator can act on.
 */
export class Lifeboat implements AsyncDisposable {
  readonly #calls: LibraryCalls;

  /** Use openLifeboat(), which checks the configuration. */
  constructor(options: OpenOptions) {
    this.#calls = new LibraryCalls(options);
  }

  /** Loads the configuration without any secret; resolves to its warnings. Throws LifeboatError `usage`. */
  async check(): Promise<readonly string[]> {
    return (await this.#calls.load({})).warnings;
  }

  /**
   * Calls `listener` with every event of every operation, until the result is disposed of. What it throws is reported
   * as an uncaught exception and stops no backup.
   */
  onEvent(listener: EventSink): Disposable {
    return this.#calls.listen(listener);
  }

  /** The same for events of one type. */
  on<Type extends LifeboatEvent['type']>(
    type: Type,
    listener: (event: Extract<LifeboatEvent, { type: Type }>) => void,
  ): Disposable {
    return this.onEvent((event) => {
      if (event.type === type) listener(event as Extract<LifeboatEvent, { type: Type }>);
    });
  }

  /** Creates the repository where it is not there yet; where no configuration was found, its file and a key, too. */
  async init(options: InitOptions = {}, call: CallOptions = {}): Promise<InitResult> {
    return this.#run(async () => (await import('./operations/setup/init.ts')).initOperation, options, call);
  }

  /** Takes a backup, by default of all that is configured. */
  async backup(options: BackupOptions = {}, call: CallOptions = {}): Promise<BackupResult> {
    return this.#run(async () => (await import('./operations/backup/backup.ts')).backupOperation, options, call);
  }

  /** The backups in the repository, oldest first. */
  async list(options: ListRequest = {}, call: ReadOptions = {}): Promise<ListResult> {
    return this.#run(async () => (await import('./operations/list/list.ts')).listOperation, options, call);
  }

  /** Everything known of one backup. */
  async show(options: ShowRequest, call: ReadOptions = {}): Promise<ShowResult> {
    return this.#run(async () => (await import('./operations/list/show.ts')).showOperation, options, call);
  }

  /**
   * Puts chosen parts of a backup into a chosen target; by default under their own names where those are free, else
   * beside what is there.
   */
  async restore(options: RestoreOptions, call: ReadOptions = {}): Promise<RestoreResult> {
    return this.#run(async () => (await import('./operations/restore/restore.ts')).restoreOperation, options, call);
  }

  /** Takes the swap of a database back. */
  async undoRestore(options: UndoRestoreOptions, call: CallOptions = {}): Promise<UndoRestoreResult> {
    return this.#run(async () => (await import('./operations/restore/undo.ts')).undoRestoreOperation, options, call);
  }

  /** Writes the parts of a backup as plain files. */
  async export(options: ExportOptions, call: ReadOptions = {}): Promise<ExportResult> {
    return this.#run(async () => (await import('./operations/restore/export.ts')).exportOperation, options, call);
  }

  /**
   * Are the stored bytes what the manifest says? By default those of the newest backup of each target; what was found
   * is kept as evidence.
   */
  async validate(options: ValidateOptions = {}, call: ReadOptions = {}): Promise<ValidateResult> {
    return this.#run(async () => (await import('./operations/validate/validate.ts')).validateOperation, options, call);
  }

  /**
   * Does it restore? Backups are restored into throwaway servers and compared with what they recorded; evidence is
   * kept.
   */
  async drill(options: DrillOptions = {}, call: CallOptions = {}): Promise<DrillResult> {
    return this.#run(async () => (await import('./operations/drill/drill.ts')).drillOperation, options, call);
  }

  /** One verdict on the backups, why, and what to do next. The servers may be down. */
  async status(options: StatusOptions = {}, call: CallOptions = {}): Promise<StatusResult> {
    return this.#run(async () => (await import('./operations/status/status.ts')).statusOperation, options, call);
  }

  /** The same for a monitoring system. A repository that cannot be looked at is part of the answer. */
  async metrics(options: MetricsOptions = {}, call: CallOptions = {}): Promise<MetricsResult> {
    return this.#run(async () => (await import('./operations/metrics/metrics.ts')).metricsOperation, options, call);
  }

  /** Accepts a warning of status(): it no longer counts. */
  async acknowledge(options: AcknowledgeOptions, call: CallOptions = {}): Promise<AcknowledgeResult> {
    return this.#run(
      async () => (await import('./operations/status/acknowledge.ts')).acknowledgeOperation,
      options,
      call,
    );
  }

  /** Deletes what the retention policy no longer keeps. With `dryRun` it tells what and why. */
  async cleanup(options: CleanupOptions = {}, call: CallOptions = {}): Promise<CleanupResult> {
    return this.#run(async () => (await import('./operations/cleanup/cleanup.ts')).cleanupOperation, options, call);
  }

  /** Takes a deleted backup back within the grace time. */
  async undelete(options: UndeleteOptions, call: CallOptions = {}): Promise<UndeleteResult> {
    return this.#run(async () => (await import('./operations/cleanup/undelete.ts')).undeleteOperation, options, call);
  }

  /** Keeps a backup whatever the retention policy says. */
  async hold(options: HoldOptions, call: CallOptions = {}): Promise<HoldResult> {
    return this.#run(async () => (await import('./operations/cleanup/hold.ts')).holdOperation, options, call);
  }

  /** Lets the retention policy decide on it again. */
  async release(options: ReleaseOptions, call: CallOptions = {}): Promise<HoldResult> {
    return this.#run(async () => (await import('./operations/cleanup/hold.ts')).releaseOperation, options, call);
  }

  /**
   * Recovers PostgreSQL to a moment into a new folder, from a base backup (`backup({ components: ['base'] })`) and
   * archived log.
   */
  async pitr(options: PitrOptions, call: CallOptions = {}): Promise<PitrResult> {
    return this.#run(async () => (await import('./operations/pitr/pitr.ts')).pitrOperation, options, call);
  }

  /** Names a moment to come back to by `pitr({ to: 'name:…' })`. */
  async createRestorePoint(options: RestorePointRequest, call: CallOptions = {}): Promise<RestorePointResult> {
    return this.#run(
      async () => (await import('./operations/pitr/restore-point.ts')).createRestorePointOperation,
      options,
      call,
    );
  }

  /** Archives one file of write-ahead log, and all that is ready besides; durable when it resolves. */
  async walPush(options: WalPushOptions, call: CallOptions = {}): Promise<WalPushResult> {
    return this.#run(async () => (await import('./operations/wal/push.ts')).walPushOperation, options, call);
  }

  /** Delivers one file of write-ahead log; `absent` only where that is proven. */
  async walFetch(options: WalFetchOptions, call: CallOptions = {}): Promise<WalFetchResult> {
    return this.#run(async () => (await import('./operations/wal/fetch.ts')).walFetchOperation, options, call);
  }

  /** What log is archived, what is missing in it, and how far the server is ahead. */
  async walStatus(options: WalStatusRequest = {}, call: CallOptions = {}): Promise<WalStatusResult> {
    return this.#run(async () => (await import('./operations/wal/status.ts')).walStatusOperation, options, call);
  }

  /** The plan for the day of a disaster, as Markdown; also written to the state folder. */
  async runbook(options: RunbookOptions = {}, call: CallOptions = {}): Promise<RunbookResult> {
    return this.#run(async () => (await import('./operations/emergency/runbook.ts')).runbookOperation, options, call);
  }

  /** Accounts for every object of the repository; findings are in the result. */
  async integrity(options: IntegrityOptions = {}, call: CallOptions = {}): Promise<RepositoryAccount> {
    return this.#run(
      async () => (await import('./operations/integrity/integrity.ts')).integrityOperation,
      options,
      call,
    );
  }

  /** Checks tools, rights, servers, clock, space and key. */
  async doctor(options: DoctorRequest = {}, call: CallOptions = {}): Promise<DoctorResult> {
    return this.#run(async () => (await import('./operations/doctor/doctor.ts')).doctorOperation, options, call);
  }

  /** Sends a marked message by each notification channel; what did not arrive is in the result. */
  async testNotifications(options: NotifyTestOptions = {}, call: CallOptions = {}): Promise<NotifyTestResult> {
    return this.#run(async () => (await import('./operations/notify/test.ts')).notifyTestOperation, options, call);
  }

  /** Sends what waits to be told, also what had failed and is not due yet. */
  async flushNotifications(options: NotifyFlushOptions = {}, call: CallOptions = {}): Promise<NotifyFlushResult> {
    return this.#run(async () => (await import('./operations/notify/manage.ts')).notifyFlushOperation, options, call);
  }

  /** What is wrong now, and how the notification channels are doing. */
  async listNotifications(call: CallOptions = {}): Promise<NotifyListResult> {
    return this.#run(async () => (await import('./operations/notify/manage.ts')).notifyListOperation, {}, call);
  }

  /** Takes away leases that dead runs left. */
  async unlock(options: UnlockOptions = {}, call: CallOptions = {}): Promise<UnlockResult> {
    return this.#run(async () => (await import('./operations/setup/unlock.ts')).unlockOperation, options, call);
  }

  /** What was to run, ran and was proven over a time; as a file too, if asked for. */
  async report(options: ReportOptions = {}, call: CallOptions = {}): Promise<ReportResult> {
    return this.#run(async () => (await import('./operations/report/report.ts')).reportOperation, options, call);
  }

  /** Who changed, restored, took out or deleted what; and whether that log is whole. */
  async audit(options: AuditRequest = {}, call: CallOptions = {}): Promise<AuditResult> {
    return this.#run(async () => (await import('./operations/audit/audit.ts')).auditOperation, options, call);
  }

  /** What can be had in an emergency: the newest whole backup of each target and component. */
  async emergencyStatus(options: EmergencyStatusRequest = {}, call: CallOptions = {}): Promise<EmergencyStatusResult> {
    return this.#run(
      async () => (await import('./operations/emergency/status.ts')).emergencyStatusOperation,
      options,
      call,
    );
  }

  /** Everything back from the newest whole backup, step by step; asks. With `dryRun` only the plan. */
  async emergencyRestore(options: EmergencyOptions = {}, call: CallOptions = {}): Promise<EmergencyResult> {
    return this.#run(
      async () => (await import('./operations/emergency/restore.ts')).emergencyRestoreOperation,
      options,
      call,
    );
  }

  /** The data keys of the repository and who can open them. */
  async listKeys(call: CallOptions = {}): Promise<KeysListResult> {
    return this.#run(async () => (await import('./operations/setup/keys.ts')).keysListOperation, {}, call);
  }

  /** Makes a new key, in the result or in a new file (absolute path, 0600); configures nothing. */
  async generateKey(options: KeysGenerateOptions = {}): Promise<KeysGenerateResult> {
    return this.#run(async () => (await import('./operations/setup/keys.ts')).keysGenerateOperation, options);
  }

  /** Lets one more key, passphrase or age recipient open the data keys. */
  async addKey(options: KeysAddRequest, call: CallOptions = {}): Promise<KeysChangeResult> {
    return this.#run(async () => (await import('./operations/setup/keys.ts')).keysAddOperation, options, call);
  }

  /** Takes a reader off the data keys; asks. It still knows what it has seen: rotateKey() afterwards. */
  async removeKey(options: KeysRemoveOptions, call: CallOptions = {}): Promise<KeysChangeResult> {
    return this.#run(async () => (await import('./operations/setup/keys.ts')).keysRemoveOperation, options, call);
  }

  /** Starts a new data key for what is written from now on. */
  async rotateKey(call: CallOptions = {}): Promise<KeysChangeResult> {
    return this.#run(async () => (await import('./operations/setup/keys.ts')).keysRotateOperation, {}, call);
  }

  /** Ends what is running, waits for it, and refuses what comes later. */
  async close(): Promise<void> {
    await this.#calls.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run<O, Q, R extends object>(load: LoadOperation<O, Q, R>, options: O, call?: ReadOptions): Promise<R> {
    return this.#calls.perform(load, options, call);
  }
}
