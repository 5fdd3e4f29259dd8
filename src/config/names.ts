/** Every environment variable that is read: its other accepted names, what it sets, how its text is understood. */

/** How the text is understood. `secret`: may also come as NAME_FILE or NAME_COMMAND. */
export type NameKind = 'text' | 'secret' | 'integer' | 'boolean' | 'list' | 'paths' | 'json' | 'compression';

export interface Name {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: NameKind;
  /** The value's place in the configuration; empty: environment.ts puts it together with others. */
  readonly path: string;
  /** One line for the manual. */
  readonly meaning: string;
}

const name = (text: string, kind: NameKind, path: string, meaning: string): Name => {
  const [first = '', ...aliases] = text.split(' ');
  return { name: first, aliases, kind, path, meaning };
};

/** In the manual's order. */
export const names: readonly Name[] = [
  name(
    'DATABASE_URL',
    'secret',
    '',
    'the PostgreSQL to protect; wins over PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE…, which fill ' +
      'in what it leaves out',
  ),
  name('REDIS_URL', 'secret', '', 'the Redis to protect'),
  name('BACKUP_FILES', 'paths', '', 'folders to protect, separated by ":"'),
  name(
    'BACKUP_TARGET',
    'text',
    '',
    'name of the target that these three make (default "main"), or which of the configured ones is meant',
  ),
  name('BACKUP_STATE_DIR', 'text', 'stateDir', 'where this host keeps its state'),
  name('BACKUP_JOBS', 'integer', 'jobs', 'streams side by side'),
  name(
    'BACKUP_MAX_CONCURRENT_BACKUPS',
    'integer',
    'maxConcurrentBackups',
    'backups into the repository at the same time, and jobs of a daemon',
  ),
  name('BACKUP_COMPRESSION', 'compression', 'compression', 'method and level, such as zstd:3'),
  name(
    'BACKUP_REPOSITORY',
    'text',
    '',
    'file:///path, s3://bucket/prefix or sftp://user@host/path; wins over the bucket, which wins over the local path',
  ),
  name('BACKUP_LOCAL_PATH BACKUP_DIR', 'text', '', 'folder of a local repository, used where no bucket is set'),
  name('BACKUP_S3_BUCKET BACKUP_STORAGE_BUCKET BACKUP_AWS_BUCKET_NAME', 'text', '', 'bucket'),
  name('BACKUP_S3_PREFIX BACKUP_STORAGE_PREFIX BACKUP_AWS_PREFIX', 'text', '', 'path in the bucket'),
  name('BACKUP_S3_REGION BACKUP_STORAGE_REGION BACKUP_AWS_REGION', 'text', 'repository.region', 'region of the bucket'),
  name(
    'BACKUP_S3_ENDPOINT BACKUP_STORAGE_ENDPOINT BACKUP_AWS_ENDPOINT',
    'text',
    'repository.endpoint',
    'URL of a compatible server',
  ),
  name('BACKUP_S3_PATH_STYLE', 'boolean', 'repository.pathStyle', 'bucket in the path instead of the host name'),
  name('BACKUP_S3_STORAGE_CLASS', 'text', 'repository.storageClass', 'storage class of new objects'),
  name('BACKUP_S3_SERVER_SIDE_ENCRYPTION', 'text', 'repository.serverSideEncryption', 'AES256 or aws:kms'),
  name('BACKUP_S3_KMS_KEY_ID', 'text', 'repository.kmsKeyId', 'key for aws:kms'),
  name(
    'BACKUP_S3_OBJECT_LOCK_DAYS',
    'integer',
    'repository.objectLock.days',
    'days that object lock retains backups; the bucket must have been made with it',
  ),
  name('BACKUP_SSH_CONFIG', 'text', 'repository.sshConfig', 'of sftp://: a configuration for ssh (ssh -F)'),
  name('BACKUP_S3_OBJECT_LOCK_MODE', 'text', 'repository.objectLock.mode', 'governance or compliance'),
  name(
    'BACKUP_S3_ACCESS_KEY BACKUP_STORAGE_ACCESS_KEY BACKUP_AWS_ACCESS_KEY_ID',
    'secret',
    'repository.accessKey',
    'access key id; without keys the AWS default chain',
  ),
  name(
    'BACKUP_S3_SECRET_KEY BACKUP_STORAGE_SECRET_KEY BACKUP_AWS_SECRET_ACCESS_KEY',
    'secret',
    'repository.secretKey',
    'secret access key',
  ),
  name(
    'BACKUP_S3_SESSION_TOKEN BACKUP_AWS_SESSION_TOKEN',
    'secret',
    'repository.sessionToken',
    'token of temporary credentials',
  ),
  name('BACKUP_ENCRYPTION_KEY', 'secret', 'encryption.key', '64 hex digits, base64 of 32 bytes, or a passphrase'),
  name('BACKUP_ENCRYPTION_PASSPHRASE', 'secret', 'encryption.passphrase', 'always a passphrase'),
  name('BACKUP_ENCRYPTION_IDENTITY', 'secret', 'encryption.identity', 'an age identity, or the path of a file of them'),
  name('BACKUP_ENCRYPTION_RECIPIENTS', 'list', 'encryption.recipients', 'age recipients, separated by commas'),
  name(
    'BACKUP_ENCRYPTION_TRUSTED_KEYS',
    'list',
    'encryption.trustedKeys',
    'public keys of writers to trust (base64; lifeboat init prints them), separated by commas',
  ),
  name('BACKUP_ENCRYPTION_ENABLED', 'boolean', 'encryption.enabled', 'false: store without encryption'),
  name('BACKUP_RETENTION_DAYS', 'integer', '', 'days that backups are kept, whatever is in them'),
  name('MAX_BACKUP_SIZE_MB', 'integer', 'maxBackupSizeMb', 'refuse a backup that would store more, in 10^6 bytes'),
  name('BACKUP_SCHEDULES', 'json', 'schedules', 'list of schedules as in the file'),
  name(
    'BACKUP_DRILL_DATABASE_URL',
    'secret',
    'drill.databaseUrl',
    'scratch PostgreSQL server for drills of logical backups; default: a throwaway one on this machine, as base ' +
      'backups always have',
  ),
  name('BACKUP_DRILL_ISOLATION', 'text', 'drill.isolation', 'auto, or none: drills run without isolation'),
  name('BACKUP_POSTGRES_BIN', 'text', 'tools.postgresBin', "folder with PostgreSQL's programs"),
  name('BACKUP_REDIS_BIN', 'text', 'tools.redisBin', "folder with Redis' or Valkey's programs"),
  name('BACKUP_DRILL_USER', 'text', 'drill.user', 'system user that nothing else uses, for drills by root'),
  name(
    'BACKUP_NOTIFICATION_WEBHOOK BACKUP_ALERT_WEBHOOK',
    'secret',
    'notifications.webhook',
    'URL that gets a JSON document',
  ),
  name('SLACK_WEBHOOK_URL', 'secret', 'notifications.slackWebhook', 'URL of a Slack webhook'),
  name(
    'BACKUP_ALERT_EMAIL_RECIPIENTS',
    'list',
    'notifications.emailRecipients',
    'who gets alerts by mail, separated by commas',
  ),
  name('SMTP_URL', 'secret', 'notifications.smtpUrl', 'mail server'),
  name('BACKUP_PING_URL', 'secret', 'notifications.pingUrl', 'URL that is called after each good backup'),
  name('BACKUP_LOG_LEVEL', 'text', 'logLevel', 'debug, info, warn or error'),
  name('BACKUP_LOG_FORMAT', 'text', 'logFormat', 'text or json'),
];

/** Every spelling that is read, NAME_FILE and NAME_COMMAND included. */
export function allSpellings(): string[] {
  return names.flatMap(({ name: first, aliases, kind }) =>
    [first, ...aliases].flatMap((each) => (kind === 'secret' ? [each, `${each}_FILE`, `${each}_COMMAND`] : [each])),
  );
}
