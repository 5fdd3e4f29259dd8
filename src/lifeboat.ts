/**
 * Lifeboat in a program: each method is one operation, the same that the command of its name runs. Only
 * the surroundings are the program's: nothing is printed, no signal is listened to, no question asked
 * on a terminal. The configuration is loaded anew for each operation, with the secrets that it needs,
 * so that a password that was changed meanwhile is the new one.
 */
import { resolve } from 'node:path';
import type { Environment } from './config/discover.ts';
import { loadConfig, type LoadedConfig } from './config/load.ts';
import type { SecretNeeds } from './config/parser.ts';
import { processEnvironment } from './config/process-environment.ts';
import { LifeboatError } from './lib/errors.ts';
import type { EventSink, LifeboatEvent } from './lib/events.ts';
import {
  backupRequest,
  cleanupRequest,
  drillRequest,
  exportRequest,
  pitrRequest,
  restoreRequest,
  taggedRequest,
  undeleteRequest,
  undoRestoreRequest,
  unlockRequest,
  validateRequest,
  walFetchRequest,
  walPushRequest,
} from './library-requests.ts';
import type {
  AcknowledgeOptions,
  BackupOptions,
  CleanupOptions,
  Defaults,
  DrillOptions,
  ExportOptions,
  HoldOptions,
  InitOptions,
  PitrOptions,
  ReleaseOptions,
  RestoreOptions,
  UndeleteOptions,
  UndoRestoreOptions,
  UnlockOptions,
  WalFetchOptions,
  WalPushOptions,
} from './library-requests.ts';
import type { AuditRequest, AuditResult } from './operations/audit/audit.ts';
import type { EmergencyRequest, EmergencyResult } from './operations/emergency/restore.ts';
import type { EmergencyStatusRequest, EmergencyStatusResult } from './operations/emergency/status.ts';
import type { PitrResult, RestorePointRequest, RestorePointResult } from './operations/pitr/request.ts';
import type { BackupResult } from './operations/backup/request.ts';
import type { CleanupResult, HoldResult, UndeleteResult } from './operations/cleanup/request.ts';
import type { DrillResult, IntegrityRequest, RepositoryAccount } from './operations/integrity/request.ts';
import type { ListRequest, ListResult, ShowRequest, ShowResult } from './operations/list/request.ts';
import type { Confirm, Operation } from './operations/operation.ts';
import type { ExportResult, RestoreResult, UndoRestoreResult } from './operations/restore/request.ts';
import type {
  DoctorRequest,
  DoctorResult,
  InitResult,
  KeysAddRequest,
  KeysChangeResult,
  KeysGenerateRequest,
  KeysGenerateResult,
  KeysListResult,
  KeysRemoveRequest,
  UnlockResult,
} from './operations/setup/request.ts';
import type { AcknowledgeResult, StatusRequest, StatusResult } from './operations/status/request.ts';
import type { ValidateRequest, ValidateResult } from './operations/validate/request.ts';
import type { RunbookRequest, RunbookResult } from './operations/emergency/runbook.ts';
import type { WalFetchResult, WalPushResult, WalStatusRequest, WalStatusResult } from './operations/wal/request.ts';

/** How a Lifeboat is opened; all of it may be left out. */
export interface OpenOptions {
  /**
   * Path of a configuration file, or what would stand in one. Default: the search of the command line,
   * from `cwd` upward. As there, the environment wins over it: `env: {}` keeps it out.
   */
  readonly config?: string | Readonly<Record<string, unknown>> | undefined;
  /** Default: the process's environment. */
  readonly env?: Environment | undefined;
  /** Where relative paths start. Default: the process's working directory. */
  readonly cwd?: string | undefined;
  /** Where this host keeps its state. Default: as configured. Use one for all of a process. */
  readonly stateDir?: string | undefined;
  /** Ends every operation of this Lifeboat. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Asked before something is overwritten or dropped; resolves to allow it. Default: it is refused with LifeboatError
   * `confirmation`.
   */
  readonly confirm?: Confirm | undefined;
  /** The same as onEvent(), but from the start. */
  readonly onEvent?: EventSink | undefined;
}

/** For one call of a method. */
export interface CallOptions {
  /** Ends this call: it rejects with the signal's reason once children are ended and leases released. */
  readonly signal?: AbortSignal | undefined;
  /** Hears the events of this call only. */
  readonly onEvent?: EventSink | undefined;
}

/** For methods that only read the repository. */
export interface ReadOptions extends CallOptions {
  /** As it was at that moment, where versions are kept: behind what was overwritten or deleted since. */
  readonly asOf?: Date | undefined;
}

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
  readonly #options: OpenOptions;
  readonly #defaults: Defaults;
  readonly #listeners = new Set<EventSink>();
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  /** Use openLifeboat(), which checks the configuration. */
  constructor(options: OpenOptions) {
    this.#options = options;
    this.#defaults = { cwd: resolve(options.cwd ?? '.'), confirm: options.confirm ?? refuse };
    if (options.onEvent !== undefined) this.#listeners.add(options.onEvent);
  }

  /** Loads the configuration without any secret; resolves to its warnings. Throws LifeboatError `usage`. */
  async check(): Promise<readonly string[]> {
    return (await this.#load({})).warnings;
  }

  /**
   * Calls `listener` with every event of every operation, until the result is disposed of. What it throws is reported
   * as an uncaught exception and stops no backup.
   */
  onEvent(listener: EventSink): Disposable {
    // One of its own, so that the same function can be registered twice.
    const own: EventSink = (event) => listener(event);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
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
    const file = this.#options.config === undefined ? resolve(this.#defaults.cwd, 'lifeboat.config.json') : undefined;
    const request = { ...options, configPath: options.configPath ?? file };
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/setup/init.ts')).init,
      request,
      call,
    );
  }

  /** Takes a backup, by default of all that is configured. */
  async backup(options: BackupOptions = {}, call: CallOptions = {}): Promise<BackupResult> {
    return this.#run(
      needsOf(options.target),
      async () => (await import('./operations/backup/backup.ts')).backup,
      backupRequest(options),
      call,
    );
  }

  /** The backups in the repository, oldest first. */
  async list(options: ListRequest = {}, call: ReadOptions = {}): Promise<ListResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/list/list.ts')).list,
      options,
      call,
    );
  }

  /** Everything known of one backup. */
  async show(options: ShowRequest, call: ReadOptions = {}): Promise<ShowResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/list/show.ts')).show,
      options,
      call,
    );
  }

  /**
   * Puts chosen parts of a backup into a chosen target; by default under their own names where those are free, else
   * beside what is there.
   */
  async restore(options: RestoreOptions, call: ReadOptions = {}): Promise<RestoreResult> {
    return this.#run(
      needsOf(options.target),
      async () => (await import('./operations/restore/restore.ts')).restore,
      restoreRequest(options, this.#defaults),
      call,
    );
  }

  /** Takes the swap of a database back. */
  async undoRestore(options: UndoRestoreOptions, call: CallOptions = {}): Promise<UndoRestoreResult> {
    return this.#run(
      needsOf(options.target),
      async () => (await import('./operations/restore/undo.ts')).undoRestore,
      undoRestoreRequest(options, this.#defaults),
      call,
    );
  }

  /** Writes the parts of a backup as plain files. */
  async export(options: ExportOptions, call: ReadOptions = {}): Promise<ExportResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/restore/export.ts')).exportBackup,
      exportRequest(options, this.#defaults),
      call,
    );
  }

  /**
   * Are the stored bytes what the manifest says? By default those of the newest backup of each target; what was found
   * is kept as evidence.
   */
  async validate(options: Partial<ValidateRequest> = {}, call: ReadOptions = {}): Promise<ValidateResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/validate/validate.ts')).validate,
      validateRequest(options),
      call,
    );
  }

  /**
   * Does it restore? Backups are restored into throwaway servers and compared with what they recorded; evidence is
   * kept.
   */
  async drill(options: DrillOptions = {}, call: CallOptions = {}): Promise<DrillResult> {
    return this.#run(
      { repository: true, encryption: true, drill: true },
      async () => (await import('./operations/drill/drill.ts')).drill,
      drillRequest(options),
      call,
    );
  }

  /** One verdict on the backups, why, and what to do next. The servers may be down. */
  async status(options: Partial<StatusRequest> = {}, call: CallOptions = {}): Promise<StatusResult> {
    const request = { ...options, days: options.days ?? 30 };
    return this.#run(surveyNeeds, async () => (await import('./operations/status/status.ts')).status, request, call);
  }

  /** Says of a warning of status() that it is meant to be. */
  async acknowledge(options: AcknowledgeOptions, call: CallOptions = {}): Promise<AcknowledgeResult> {
    const request = { ...options, days: options.days ?? 30 };
    return this.#run(
      surveyNeeds,
      async () => (await import('./operations/status/acknowledge.ts')).acknowledge,
      request,
      call,
    );
  }

  /** Deletes what the retention policy no longer keeps. With `dryRun` it tells what and why. */
  async cleanup(options: CleanupOptions = {}, call: CallOptions = {}): Promise<CleanupResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/cleanup/cleanup.ts')).cleanup,
      cleanupRequest(options),
      call,
    );
  }

  /** Takes a deleted backup back within the grace time. */
  async undelete(options: UndeleteOptions, call: CallOptions = {}): Promise<UndeleteResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/cleanup/undelete.ts')).undelete,
      undeleteRequest(options),
      call,
    );
  }

  /** Keeps a backup whatever the retention policy says. */
  async hold(options: HoldOptions, call: CallOptions = {}): Promise<HoldResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/cleanup/hold.ts')).hold,
      taggedRequest(options),
      call,
    );
  }

  /** Lets the retention policy decide on it again. */
  async release(options: ReleaseOptions, call: CallOptions = {}): Promise<HoldResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/cleanup/hold.ts')).release,
      taggedRequest(options),
      call,
    );
  }

  /**
   * Recovers PostgreSQL to a moment into a new folder, from a base backup (`backup({ components: ['base'] })`) and
   * archived log.
   */
  async pitr(options: PitrOptions, call: CallOptions = {}): Promise<PitrResult> {
    return this.#run(
      needsOf(options.target),
      async () => (await import('./operations/pitr/pitr.ts')).pitr,
      pitrRequest(options, this.#defaults),
      call,
    );
  }

  /** Names a moment to come back to by `pitr({ to: 'name:…' })`. */
  async createRestorePoint(options: RestorePointRequest, call: CallOptions = {}): Promise<RestorePointResult> {
    return this.#run(
      needsOf(options.target),
      async () => (await import('./operations/pitr/restore-point.ts')).createRestorePoint,
      options,
      call,
    );
  }

  /** Archives one file of write-ahead log, and all that is ready besides; durable when it resolves. */
  async walPush(options: WalPushOptions, call: CallOptions = {}): Promise<WalPushResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/wal/push.ts')).walPush,
      walPushRequest(options, this.#defaults),
      call,
    );
  }

  /** Delivers one file of write-ahead log; `absent` only where that is proven. */
  async walFetch(options: WalFetchOptions, call: CallOptions = {}): Promise<WalFetchResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/wal/fetch.ts')).walFetch,
      walFetchRequest(options, this.#defaults),
      call,
    );
  }

  /** What log is archived, what is missing in it, and how far the server is ahead. */
  async walStatus(options: WalStatusRequest = {}, call: CallOptions = {}): Promise<WalStatusResult> {
    return this.#run(
      needsOf(options.target),
      async () => (await import('./operations/wal/status.ts')).walStatus,
      options,
      call,
    );
  }

  /** The plan for the day of a disaster, as Markdown; also written to the state folder. */
  async runbook(options: Partial<RunbookRequest> = {}, call: CallOptions = {}): Promise<RunbookResult> {
    const request = { ...options, offline: options.offline ?? false };
    return this.#run(
      request.offline ? {} : { repository: true, encryption: true },
      async () => (await import('./operations/emergency/runbook.ts')).runbook,
      request,
      call,
    );
  }

  /** Accounts for every object of the repository; findings are in the result. */
  async integrity(options: IntegrityRequest = {}, call: CallOptions = {}): Promise<RepositoryAccount> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/integrity/account.ts')).accountRepository,
      options,
      call,
    );
  }

  /** Checks tools, rights, servers, clock, space and key. */
  async doctor(options: DoctorRequest = {}, call: CallOptions = {}): Promise<DoctorResult> {
    const need: SecretNeeds = {
      repository: true,
      encryption: true,
      targets: options.target === undefined ? 'all' : { name: options.target },
    };
    return this.#run(need, async () => (await import('./operations/doctor/doctor.ts')).doctor, options, call);
  }

  /** Takes away leases that dead runs left. */
  async unlock(options: UnlockOptions = {}, call: CallOptions = {}): Promise<UnlockResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/setup/unlock.ts')).unlock,
      unlockRequest(options, this.#defaults),
      call,
    );
  }

  /** Who changed, restored, took out or deleted what; and whether that log is whole. */
  async audit(options: AuditRequest = {}, call: CallOptions = {}): Promise<AuditResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/audit/audit.ts')).auditLog,
      options,
      call,
    );
  }

  /** What can be had in an emergency: the newest whole backup of each target and component. */
  async emergencyStatus(options: EmergencyStatusRequest = {}, call: CallOptions = {}): Promise<EmergencyStatusResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/emergency/status.ts')).emergencyStatus,
      options,
      call,
    );
  }

  /** Everything back from the newest whole backup, step by step; asks. With `dryRun` only the plan. */
  async emergencyRestore(options: Partial<EmergencyRequest> = {}, call: CallOptions = {}): Promise<EmergencyResult> {
    const request = {
      only: [],
      force: false,
      safetyBackup: true,
      dryRun: false,
      resume: false,
      confirm: this.#defaults.confirm,
      ...options,
    };
    return this.#run(
      needsOf(options.target),
      async () => (await import('./operations/emergency/restore.ts')).emergencyRestore,
      request,
      call,
    );
  }

  /** The data keys of the repository and who can open them. */
  async listKeys(call: CallOptions = {}): Promise<KeysListResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/setup/keys.ts')).listKeys,
      {},
      call,
    );
  }

  /** Makes a new key, in the result or in a new file (absolute path, 0600); configures nothing. */
  async generateKey(options: Partial<KeysGenerateRequest> = {}): Promise<KeysGenerateResult> {
    return (await import('./operations/setup/keys.ts')).generateKey({
      kind: options.kind ?? 'raw',
      file: options.file,
    });
  }

  /** Lets one more key, passphrase or age recipient open the data keys. */
  async addKey(options: KeysAddRequest, call: CallOptions = {}): Promise<KeysChangeResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/setup/keys.ts')).addKey,
      options,
      call,
    );
  }

  /** Takes a reader off the data keys; asks. It still knows what it has seen: rotateKey() afterwards. */
  async removeKey(
    options: Partial<KeysRemoveRequest> & Pick<KeysRemoveRequest, 'recipient'>,
    call: CallOptions = {},
  ): Promise<KeysChangeResult> {
    const request = { recipient: options.recipient, confirm: options.confirm ?? this.#defaults.confirm };
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/setup/keys.ts')).removeKey,
      request,
      call,
    );
  }

  /** Starts a new data key for what is written from now on. */
  async rotateKey(call: CallOptions = {}): Promise<KeysChangeResult> {
    return this.#run(
      { repository: true, encryption: true },
      async () => (await import('./operations/setup/keys.ts')).rotateKey,
      {},
      call,
    );
  }

  /** Ends what is running, waits for it, and refuses what comes later. */
  async close(): Promise<void> {
    this.#closing.abort(new LifeboatError('usage', 'this Lifeboat was closed'));
    await Promise.allSettled(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run<Q, R>(
    need: SecretNeeds,
    load: () => Promise<Operation<Q, R>>,
    request: Q,
    { signal, onEvent, asOf }: ReadOptions,
  ): Promise<R> {
    const signals = [this.#closing.signal, this.#options.signal, signal].filter((each) => each !== undefined);
    const any = AbortSignal.any(signals);
    any.throwIfAborted();
    const emit: EventSink = (event) => {
      for (const listener of onEvent === undefined ? this.#listeners : [...this.#listeners, onEvent]) {
        tell(listener, event);
      }
    };
    const work = (async () =>
      (await load())({ ...(await this.#load(need, any)), asOfMs: asOf?.getTime() }, request, { signal: any, emit }))();
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  async #load(need: SecretNeeds, signal?: AbortSignal): Promise<LoadedConfig> {
    const { config, env = processEnvironment(), stateDir } = this.#options;
    const { cwd } = this.#defaults;
    return loadConfig({
      cwd,
      env,
      need,
      ...(typeof config === 'string' ? { configPath: config } : {}),
      ...(typeof config === 'object' ? { document: config } : {}),
      overrides: stateDir === undefined ? [] : [{ path: 'stateDir', value: stateDir, origin: 'stateDir' }],
      ...(signal === undefined ? {} : { signal }),
    });
  }
}

const surveyNeeds: SecretNeeds = { repository: true, encryption: true, targets: 'all', mayLackTargets: true };

function needsOf(target: string | undefined): SecretNeeds {
  return { repository: true, encryption: true, targets: { name: target } };
}

/** As an emitter of the platform does: a faulty listener is a bug of its own, and no reason to lose a backup. */
function tell(listener: EventSink, event: LifeboatEvent): void {
  try {
    listener(event);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

const refuse: Confirm = async ({ name, consequences }) => {
  throw new LifeboatError('confirmation', `confirmation is needed: ${consequences.join('; ')}`, {
    state: 'nothing was changed',
    hint: `allow it by the option "confirm", which is asked for "${name}"`,
  });
};
