/**
 * What sessions set, ours and those of programs, since databases (ALTER DATABASE … SET), roles (ALTER ROLE … SET) and
 * the server's configuration may say otherwise: they must be able to do their work, however long it takes, and what is
 * put in must be read as it was written. What only shapes output (DateStyle, TimeZone, extra_float_digits, …) stays the
 * database's own in sessions that fill: materialized views and generated columns are made anew with it, and what
 * pg_dump wrote reads the same whatever it is. What rows are hashed with is in facts/pinned-settings.ts.
 */

/** Of each of our own sessions, once it stands; those that a server does not know are passed over. */
export const sessionSettings: Readonly<Record<string, string>> = {
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  transaction_timeout: '0',
  tcp_keepalives_idle: '30',
  // Of queries on catalogs it makes seconds of milliseconds.
  jit: 'off',
};

/**
 * Of sessions that change something, from their start on (`name=value`, as startupOptions() takes them). Known to every
 * version.
 */
export const changingDefaults: readonly string[] = [
  'role=none',
  'default_transaction_read_only=off',
  'default_transaction_isolation=read committed',
  'default_transaction_deferrable=off',
  'exit_on_error=off',
];

/** What a session may set depends on them. */
export interface ServerRights {
  /** E.g. 150018. */
  readonly versionNum: number;
  readonly isSuperuser: boolean;
}

/** Of sessions of programs that fill a database. */
export function fillingDefaults({ versionNum, isSuperuser }: ServerRights): string[] {
  return [...changingDefaults, ...reading, ...unlimited(versionNum), ...(isSuperuser ? ofSuperusers : [])];
}

/** As pg_dump's text is meant. pg_restore itself sets some of these; what it leaves out under a flag counts too. */
const reading: readonly string[] = [
  'array_nulls=on',
  'backslash_quote=safe_encoding',
  'check_function_bodies=off',
  'default_table_access_method=heap',
  'default_tablespace=',
  'standard_conforming_strings=on',
  'transform_null_equals=off',
  'xmloption=content',
];

function unlimited(versionNum: number): string[] {
  return [
    'statement_timeout=0',
    'lock_timeout=0',
    'idle_in_transaction_session_timeout=0',
    ...(versionNum >= 140_000 ? ['idle_session_timeout=0'] : []),
    // The latter keeps views from being read; a materialized view may rest on one.
    ...(versionNum >= 170_000 ? ['transaction_timeout=0', 'restrict_nonsystem_relation_kind='] : []),
  ];
}

const ofSuperusers: readonly string[] = [
  'session_replication_role=origin',
  'temp_file_limit=-1',
  // Hints are found by their words; the judgement does not need them.
  'lc_messages=C',
];
