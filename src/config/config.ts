/**
 * The trusted configuration: parsed once, complete, with units in the names. Nothing below this floor
 * reads the environment or fills in defaults. A Secret that the running command did not ask for is
 * there (so it is seen to be configured), but its reveal() throws.
 */
import type { OperatorCommand } from '../lib/operator-command.ts';
import type { Secret } from '../lib/secret.ts';
import type { PostgresUrl } from './postgres-url.ts';
import type { Outcome, PingSignal, Severity } from './schema-notifications.ts';
import type { LaterSecret } from './secrets.ts';
import type { ScheduleOptions, ScheduleType } from './schedule-options.ts';

export interface Config {
  /** Undefined: none is configured (commands that need one refuse). */
  readonly repository: RepositoryLocation | undefined;
  readonly encryption: EncryptionConfig;
  readonly compression: CompressionConfig;
  /** Streams side by side. */
  readonly jobs: number;
  readonly maxConcurrentBackups: number;
  /** So long without a byte moved is "hung". */
  readonly hangTimeoutMs: number;
  /** A backup that stores more than this is refused (exit 15). */
  readonly maxBackupBytes: number | undefined;
  /** Where this host keeps its state (0700): run journals, own keys, newest seen backups. Absolute. */
  readonly stateDir: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Undefined: text, but JSON of a daemon that has no terminal. */
  readonly logFormat: 'text' | 'json' | undefined;
  readonly targets: ReadonlyMap<string, TargetConfig>;
  /** Which target is meant when a command names none (BACKUP_TARGET). */
  readonly defaultTarget: string | undefined;
  readonly retention: RetentionByComponent;
  /** How long deleted backups can be taken back. */
  readonly trashMs: number;
  readonly schedules: readonly Schedule[];
  readonly hooks: Hooks;
  /** How long backups before deployments are kept at least. */
  readonly preDeploy: { readonly keepDays: number };
  readonly notifications: Notifications;
  readonly metrics: MetricsConfig;
  readonly drill: DrillConfig;
  /** Where the servers' programs are looked for first; absolute. */
  readonly tools: { readonly postgres: string | undefined; readonly redis: string | undefined };
  readonly monitoring: MonitoringConfig;
  readonly emergency: EmergencyConfig;
}

export type RepositoryLocation = LocalLocation | S3Location | SftpLocation;

export interface LocalLocation {
  readonly kind: 'local';
  /** Absolute. */
  readonly path: string;
}

export interface S3Location {
  readonly kind: 's3';
  readonly bucket: string;
  /** Without slashes at either end; may be empty. */
  readonly prefix: string;
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  readonly pathStyle: boolean;
  readonly storageClass: string | undefined;
  /** The x-amz-server-side-encryption header: AES256 or aws:kms, and the key for the latter. */
  readonly serverSideEncryption: string | undefined;
  readonly kmsKeyId: string | undefined;
  /** Undefined: nothing is retained. */
  readonly objectLock: ObjectLockConfig | undefined;
  /** Undefined: AWS's default chain. */
  readonly accessKey: Secret | undefined;
  readonly secretKey: Secret | undefined;
  readonly sessionToken: Secret | undefined;
}

export interface SftpLocation {
  readonly kind: 'sftp';
  /** A name for ssh, so also one that its configuration has. */
  readonly host: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  /** Absolute, or `~/…` from where the server puts its user. */
  readonly path: string;
  /** For ssh, instead of its own; absolute. */
  readonly configFile: string | undefined;
}

/** How long what belongs to a backup can be deleted by nobody. */
export interface ObjectLockConfig {
  readonly days: number;
  readonly mode: 'governance' | 'compliance';
}

export interface EncryptionConfig {
  readonly enabled: boolean;
  /** BACKUP_ENCRYPTION_KEY: 64 hex digits, base64 of 32 bytes, or a passphrase; see man lifeboat-repository(7). */
  readonly key: Secret | undefined;
  /** Always a passphrase. */
  readonly passphrase: Secret | undefined;
  /** The text of one or several age identities (AGE-SECRET-KEY-1…), one a line. */
  readonly identity: Secret | undefined;
  /** age recipients (age1…) to wrap new data keys to. */
  readonly recipients: readonly string[];
  /** Ed25519 public keys of writers, base64. */
  readonly trustedKeys: readonly string[];
}

export interface CompressionConfig {
  readonly method: 'none' | 'gzip' | 'zstd' | 'lz4';
  /** gzip 1–9, zstd 1–19; lz4 and none have no levels (0). */
  readonly level: number;
}

export interface TargetConfig {
  readonly name: string;
  readonly postgres: PostgresConfig | undefined;
  readonly redis: RedisConfig | undefined;
  readonly files: FilesConfig | undefined;
  /** Inside the general ones. */
  readonly hooks: Hooks;
  /** What brings the application to rest, and lets it go on. */
  readonly quiesce: QuiesceConfig | undefined;
  /** Overrides the general one. */
  readonly retention: RetentionByComponent | undefined;
}

export interface PostgresConfig {
  /** Complete: libpq's PG* variables, password file and defaults are merged into it. */
  readonly url: PostgresUrl;
  /** Names, or the single element "*" for all of the server. Never empty. */
  readonly databases: readonly string[];
  /** Tables larger than this are dumped apart. */
  readonly bigTableBytes: number;
  readonly lockWaitTimeoutMs: number;
  /** Names of extensions whose functions in C queries of ours may run, besides those of PostgreSQL itself. */
  readonly trustedExtensions: readonly string[];
  /** Dumps begin anew whenever somebody wants to change a table. */
  readonly yieldToDdl: boolean;
  /** Physical backups, when configured. */
  readonly base: Readonly<Record<string, never>> | undefined;
}

export interface RedisConfig {
  /** redis:// or rediss://, with user and password. */
  readonly url: Secret;
  /** PEM files for TLS. */
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** `auto`: snapshot over replication, else SCAN; or one of them only. */
  readonly method: 'auto' | 'replication' | 'scan';
}

export interface FilesConfig {
  /** Absolute paths of folders or files. Never empty. */
  readonly paths: readonly string[];
  /** Patterns; empty: everything. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export interface RetentionPolicy {
  readonly days: number | undefined;
  readonly keepLast: number | undefined;
  readonly keepHourly: number | undefined;
  readonly keepDaily: number | undefined;
  readonly keepWeekly: number | undefined;
  readonly keepMonthly: number | undefined;
  readonly keepYearly: number | undefined;
  readonly keepWithinMs: number | undefined;
  readonly minBackups: number | undefined;
}

export interface RetentionByComponent {
  readonly database: RetentionPolicy;
  readonly redis: RetentionPolicy;
  readonly files: RetentionPolicy;
  /** Write-ahead log stays so long even where no base backup needs it; undefined: no rule. */
  readonly walDays?: number | undefined;
}

/** What hooks can stand around. */
export type HookedCommand = 'backup' | 'restore' | 'pitr' | 'cleanup';

/** By command; what is not there has none. */
export type Hooks = { readonly [K in HookedCommand]?: HooksAround | undefined };

export interface HooksAround {
  readonly before: readonly HookBefore[];
  readonly after: readonly ConfiguredCommand[];
}

/** A program of the operator's, and the variables that it may see. */
export interface ConfiguredCommand extends OperatorCommand {
  /** Those that are set. */
  readonly env: ReadonlyMap<string, Secret>;
}

export interface HookBefore extends ConfiguredCommand {
  readonly onFailure: 'stop' | 'warn';
}

export interface QuiesceConfig {
  readonly begin: ConfiguredCommand;
  readonly end: ConfiguredCommand;
}

/** What runs when. */
export interface Schedule {
  readonly id: string;
  readonly name: string;
  readonly type: ScheduleType;
  readonly cronExpression: string;
  /** IANA name; undefined: that of the host. */
  readonly timezone: string | undefined;
  readonly enabled: boolean;
  readonly options: ScheduleOptions;
  /** What of moments that passed without a run: one run for all, none, one for each. */
  readonly missed: 'once' | 'skip' | 'all';
  /** So long after its moment a run is on time. */
  readonly graceMs: number;
  readonly timeoutMs: number | undefined;
  readonly attempts: number;
}

/** What the day of a disaster needs to know; commands are program and arguments, started without a shell. */
export interface EmergencyConfig {
  readonly stopServices: readonly string[] | undefined;
  readonly startServices: readonly string[] | undefined;
  readonly serviceTimeoutMs: number;
  readonly contacts: readonly { readonly name: string; readonly role?: string | undefined; readonly reach: string }[];
  readonly escalation: readonly string[];
  /** By name; what is left out stays as the program has it. */
  readonly scenarios: Readonly<Record<string, EmergencyScenario>>;
}

export interface EmergencyScenario {
  readonly title?: string | undefined;
  readonly rtoMinutes?: number | undefined;
  readonly rpoMinutes?: number | undefined;
  readonly steps?: readonly string[] | undefined;
}

export interface DrillConfig {
  /** Databases are restored into this server instead of a throwaway one of ours, and dropped again. */
  readonly scratchPostgresUrl: PostgresUrl | undefined;
  /** `none`: throwaway servers run where their code can read what we can. */
  readonly isolation: 'auto' | 'none';
  /** System user that nothing else uses: root's throwaway servers run as it where there are no namespaces. */
  readonly user: string | undefined;
}

/** From when on status warns. */
export interface MonitoringConfig {
  /** Each component's newest backup must be younger. */
  readonly backupDelayMs: number;
  /** The newest proof by a drill must be younger. */
  readonly provenDelayMs: number;
  /** Share of failed runs, 0 to 1. */
  readonly failureRate: number;
  /** Share of the file system, or of the budget, 0 to 1. */
  readonly storageShare: number;
  readonly storageBudgetBytes: number | undefined;
}

/** What monitoring systems get, and where. */
export interface MetricsConfig {
  /** The label of that name. */
  readonly service: string;
  /** Absolute. */
  readonly textfile: string | undefined;
  readonly pushgateway: { readonly url: LaterSecret; readonly job: string } | undefined;
  /** host:port. */
  readonly dogstatsd: { readonly address: string } | undefined;
  readonly otlp: { readonly url: LaterSecret; readonly headers: ReadonlyMap<string, LaterSecret> } | undefined;
}

/** Who is told what. Secrets are fetched when something is sent. */
export interface Notifications {
  /** In the order of the file. Empty: nobody is told. */
  readonly channels: ReadonlyMap<string, Channel>;
  readonly routes: readonly NotificationRoute[];
  readonly quietHours: QuietHours | undefined;
  readonly escalation:
    | { readonly afterMs: number; readonly severities: readonly Severity[]; readonly channels: readonly string[] }
    | undefined;
  /** What lasts is told again after so long; undefined: never. */
  readonly reminderMs: number | undefined;
}

/** What a route does not say is no condition. */
export interface NotificationRoute {
  /** Patterns: `*` stands for any part. */
  readonly events: readonly string[] | undefined;
  readonly severities: readonly Severity[] | undefined;
  readonly outcomes: readonly Outcome[];
  readonly targets: readonly string[] | undefined;
  readonly channels: readonly string[];
}

/** Minutes since midnight; `from` may be later than `to`. */
export interface QuietHours {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly timezone: string | undefined;
}

interface AnyChannel {
  readonly name: string;
  /** For one attempt, all of it. */
  readonly timeoutMs: number;
  /** What comes within so long goes as one; undefined: each at once. */
  readonly digestMs: number | undefined;
}

/** One way to tell somebody, by its type. */
export type Channel = AnyChannel &
  (
    | {
        readonly type: 'webhook';
        readonly url: LaterSecret;
        readonly token: LaterSecret | undefined;
        readonly secret: LaterSecret | undefined;
        /** JSON with {{names}} in its texts; undefined: our document. */
        readonly body: unknown;
      }
    | { readonly type: 'slack'; readonly url: LaterSecret }
    | { readonly type: 'discord'; readonly url: LaterSecret }
    | { readonly type: 'teams'; readonly url: LaterSecret }
    | {
        readonly type: 'telegram';
        readonly url: LaterSecret | undefined;
        readonly token: LaterSecret;
        readonly chat: string;
      }
    | { readonly type: 'ntfy'; readonly url: LaterSecret; readonly token: LaterSecret | undefined }
    | { readonly type: 'pagerduty'; readonly url: LaterSecret | undefined; readonly token: LaterSecret }
    | {
        readonly type: 'email';
        readonly url: LaterSecret;
        readonly to: readonly string[];
        readonly from: string | undefined;
        readonly isTlsRequired: boolean;
      }
    | {
        readonly type: 'ping';
        readonly url: LaterSecret;
        readonly signals: readonly PingSignal[];
        readonly commands: readonly string[];
        readonly target: string | undefined;
      }
    | { readonly type: 'command'; readonly command: readonly string[]; readonly cwd: string }
  );

export type ChannelType = Channel['type'];
/** The channel of one of these types. */
export type ChannelOf<T extends ChannelType> = Extract<Channel, { readonly type: T }>;
