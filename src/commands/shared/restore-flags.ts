/** From the flags of `restore` to what they ask for: which of them fit together, and what they mean. */
import { LifeboatError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { ComponentName } from '../../operations/operation.ts';
import type { RestoreOptions, RestoreRequest } from '../../operations/restore/request.ts';
import type { Session } from './session.ts';

export interface RestoreFlags {
  readonly only?: ComponentName[];
  readonly databaseOnly?: boolean;
  readonly intoLive?: boolean;
  readonly database?: string[];
  readonly toDatabase?: string;
  readonly toUrlEnv?: string;
  readonly tables?: string[];
  readonly schemaOnly?: boolean;
  readonly dataOnly?: boolean;
  readonly globals?: boolean;
  readonly asRole?: string;
  readonly owner?: boolean;
  readonly acl?: boolean;
  readonly keepFailed?: boolean;
  readonly subscriptions?: boolean;
  readonly keys?: string[];
  readonly redisMethod?: RestoreRequest['redis']['method'];
  readonly replicaAddress?: string;
  readonly rdbDir?: string;
  readonly path?: string[];
  readonly toDir?: string;
  readonly jobs?: number;
  readonly asOf?: number;
  readonly confirm?: string;
  /** False for --no-backup; commander leaves it undefined otherwise, since commands declare their flags late. */
  readonly backup?: boolean;
  readonly force?: boolean;
  readonly undo?: string;
  readonly dryRun?: boolean;
}

/** What the flags ask for. Throws LifeboatError `usage` for flags that contradict each other. */
export function restoreOptions(id: string, flags: RestoreFlags, session: Session): RestoreOptions {
  refuseContradictions(flags);
  const only = new Set<ComponentName>(flags.databaseOnly === true ? ['database'] : flags.only);
  const url = flags.toUrlEnv === undefined ? undefined : urlFrom(flags.toUrlEnv, session);
  const isRedis = url !== undefined && /^(rediss?|unix):\/\//.test(url.reveal());
  const { intoLive } = flags;
  return {
    id,
    target: session.flags.target,
    only: [...only],
    postgres: {
      databases: flags.database,
      toDatabase: flags.toDatabase,
      toUrl: isRedis ? undefined : url,
      tables: flags.tables,
      content: flags.schemaOnly === true ? 'schema' : flags.dataOnly === true ? 'data' : undefined,
      intoLive,
      globals: flags.globals,
      asRole: flags.asRole,
      noOwner: flags.owner === false,
      noAcl: flags.acl === false,
      keepFailed: flags.keepFailed,
      subscriptions: flags.subscriptions,
    },
    redis: {
      toUrl: isRedis ? url : undefined,
      keys: flags.keys,
      method: flags.redisMethod,
      replicaAddress: flags.replicaAddress,
      dataDir: flags.rdbDir,
      intoLive,
    },
    files: { paths: flags.path, toDir: flags.toDir, intoLive },
    safetyBackup: flags.backup,
    force: flags.force,
    dryRun: flags.dryRun,
  };
}

function refuseContradictions(flags: RestoreFlags): void {
  const pairs: readonly (readonly [string, boolean, string, boolean])[] = [
    ['--schema-only', flags.schemaOnly === true, '--data-only', flags.dataOnly === true],
    ['--into-live', flags.intoLive === true, '--to-database', flags.toDatabase !== undefined],
    ['--into-live', flags.intoLive === true, '--to-dir', flags.toDir !== undefined],
    [
      '--database-only',
      flags.databaseOnly === true,
      '--only',
      flags.only?.some((each) => each !== 'database') === true,
    ],
    [
      '--rdb-dir',
      flags.rdbDir !== undefined,
      `--redis-method ${flags.redisMethod}`,
      flags.redisMethod === 'replica' || flags.redisMethod === 'commands',
    ],
    ['--to-database', flags.toDatabase !== undefined, 'several --database', (flags.database?.length ?? 0) > 1],
  ];
  for (const [one, isOne, other, isOther] of pairs) {
    if (isOne && isOther) throw new LifeboatError('usage', `${one} and ${other} contradict each other`);
  }
}

/** Secrets never stand on a command line: the flag names a variable. */
/** The URL in a variable that a flag names. Throws LifeboatError `usage`. */
export function urlFrom(name: string, { io }: Session, flag = '--to-url-env'): Secret {
  const value = io.env[name];
  if (value !== undefined && /^(postgres(ql)?|rediss?|unix):\/\//.test(value)) return new Secret(value);
  const why =
    value === undefined
      ? `the environment variable ${name} is not set`
      : `${name} holds no postgres:// or redis:// URL`;
  throw new LifeboatError(
    'usage',
    `${flag}: ${/:\/\//.test(name) ? 'give the name of a variable, not the URL itself' : why}`,
  );
}
