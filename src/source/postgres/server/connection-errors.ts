/** What PostgreSQL and the network say, as errors that tell an operator what to do (exit code 13). */
import { LifeboatError, messageOf, systemCodeOf } from '../../../lib/errors.ts';

interface Advice {
  readonly hint: string;
  readonly retryable?: boolean;
}

/**
 * Where the server has no room for as many locks as a dump needs. It holds each table about four times at once, so that
 * nobody can come in between: by the session with the snapshot, two pg_dumps, and a session that counts.
 */
export const lockTableFull =
  'the server has no room for as many locks as there are tables and indexes: raise max_locks_per_transaction there ' +
  '(needs a restart); if it is memory that it lacks, its log says so';

/** By SQLSTATE or system error code. */
const adviceOf: Readonly<Record<string, Advice>> = {
  ECONNREFUSED: { hint: 'is the server running, and does it listen there (listen_addresses, port)?', retryable: true },
  ENOENT: {
    hint: 'no server listens on that socket: is it running, and is the folder its unix_socket_directories?',
    retryable: true,
  },
  EACCES: { hint: 'this user may not use that socket' },
  ENOTFOUND: { hint: 'the host name does not resolve: check it for typing errors' },
  EAI_AGAIN: { hint: 'the name server does not answer', retryable: true },
  ETIMEDOUT: { hint: 'a firewall may be in between', retryable: true },
  EHOSTUNREACH: { hint: 'there is no route to the host', retryable: true },
  ECONNRESET: { hint: 'the server or something in between closed the connection', retryable: true },
  '28P01': { hint: 'check user and password in the URL (or the password file)' },
  '28000': {
    hint:
      'the server must allow this user from this host, with this ' +
      'kind of encryption (pg_hba.conf; sslmode in the URL)',
  },
  '3D000': { hint: 'list the databases with: psql -l' },
  '42501': {
    hint: 'grant the missing right, e.g. GRANT pg_read_all_data TO the backup user (PostgreSQL 14 and later)',
  },
  '53200': { hint: lockTableFull },
  '53300': { hint: 'raise max_connections, or lower jobs', retryable: true },
  '55P03': {
    hint:
      'another session holds or awaits a lock on it (see pg_stat_activity); run again when it has ended, or raise ' +
      'lockWaitTimeoutSeconds',
    retryable: true,
  },
  '57014': { hint: 'it was cancelled by an administrator or a time-out of the server', retryable: true },
  '57P01': { hint: 'the server was shut down or the session was ended by an administrator', retryable: true },
  '57P02': { hint: 'another session of the server crashed: see its log', retryable: true },
  '57P03': { hint: 'the server is starting up or shutting down', retryable: true },
};

/**
 * `act` in lower case, e.g. "cannot connect to PostgreSQL at db:5432, database app". A LifeboatError passes through.
 */
export function sourceError(act: string, error: unknown): LifeboatError {
  if (error instanceof LifeboatError) return error;
  const cause = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  const code = systemCodeOf(cause) ?? '';
  const advice = adviceOfText(messageOf(error)) ?? adviceOf[code];
  return new LifeboatError('source', `${act}: ${messageOf(error)}`, {
    hint: advice?.hint,
    retryable: advice?.retryable ?? code.startsWith('08'),
    cause: error,
  });
}

/** The SQLSTATE of a server's error, also of one that became a LifeboatError; undefined for others. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = systemCodeOf(error instanceof LifeboatError ? error.cause : error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E') ? code : undefined;
}

/** A pooler that does not pass on how a session must begin: what follows would run with settings that others chose. */
export function poolerBetween(server: string): LifeboatError {
  return new LifeboatError(
    'source',
    `cannot use the connection to PostgreSQL at ${server}: a pooler in between does not pass on the search_path that ` +
      'the session must begin with',
    { hint: directConnection },
  );
}

const directConnection = "connect directly: use the server's own host and port in the URL, without the pooler";

/** Some failures are told apart by words only. */
function adviceOfText(message: string): Advice | undefined {
  if (/unsupported startup parameter/i.test(message)) return { hint: directConnection };
  if (/client password must be a string|no password/i.test(message)) {
    return { hint: 'the server wants a password: put one into the URL or into a password file (~/.pgpass, mode 0600)' };
  }
  if (/does not support SSL/i.test(message)) {
    return { hint: 'set sslmode=disable or prefer in the URL if the way to the server is trusted' };
  }
  if (/certificate|self-signed|altnames/i.test(message)) {
    return { hint: "the server's TLS certificate is not the expected one: check sslrootcert and the host name" };
  }
  if (/row-level security/.test(message)) {
    return { hint: 'the backup user must see all rows: ALTER ROLE … BYPASSRLS (or back up as a superuser)' };
  }
  if (/Connection terminated|timeout expired/i.test(message)) {
    return { hint: "the connection was lost: see the server's log", retryable: true };
  }
  return undefined;
}
