/**
 * Judges what an S3 server or the way to it answered: by error name and status only, since messages
 * differ from server to server and may be empty.
 */
import { LifeboatError, messageOf, systemCodeOf } from '../../lib/errors.ts';
import { StorageError } from '../storage.ts';

/**
 * absent: the key is not there; no-bucket; taken: a condition forbade to overwrite; denied: these
 * credentials may not do this; refused: the credentials themselves do not pass; unsupported: the server
 * does not know the request; full: a quota; range: outside the object; passing: a later try may work.
 */
export type S3Fault =
  | 'absent'
  | 'no-bucket'
  | 'taken'
  | 'denied'
  | 'refused'
  | 'no-credentials'
  | 'clock'
  | 'region'
  | 'unsupported'
  | 'full'
  | 'range'
  | 'tls'
  | 'passing'
  | 'other';

/** What kind of failure the SDK's error is. */
export function judge(error: unknown): S3Fault {
  const name = error instanceof Error ? error.name : '';
  const byName = faultOfName[name];
  if (byName !== undefined) return byName;
  const status = statusOf(error);
  if (status === undefined || status < 300) return faultOfConnection(error, name);
  return faultOfStatus[status] ?? (status >= 500 ? 'passing' : 'other');
}

/** The error for the operator. `act` says what was tried on what, e.g. "cannot write a/b to s3://bucket". */
export function s3Error(act: string, error: unknown, signal?: AbortSignal): Error {
  if (signal?.aborted === true && signal.reason instanceof Error) return signal.reason;
  if (error instanceof LifeboatError) return error;
  const fault = judge(error);
  const known = explanations[fault];
  const detail = detailOf(error);
  const message = `${act}: ${known?.reason === undefined ? detail : `${known.reason} (${detail})`}`;
  if (fault === 'full') return new LifeboatError('space', message, { hint: known?.hint, cause: error });
  return new StorageError(message, { hint: known?.hint, retryable: fault === 'passing', cause: error });
}

/**
 * What was answered; undefined if the server said no: not allowed, not known, or not there. A bucket without object
 * lock answers 404 (or 400) to the question about it; a bucket that is missing is told apart by name. Without an answer
 * it is a failure of the way there, and thrown.
 */
export async function unlessRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (['absent', 'denied', 'unsupported', 'other'].includes(judge(error)) && statusOf(error) !== undefined) {
      return undefined;
    }
    throw error;
  }
}

/** The HTTP status of an answer; undefined if there was none. */
function statusOf(error: unknown): number | undefined {
  const metadata =
    error instanceof Error ? (error as { $metadata?: { httpStatusCode?: unknown } }).$metadata : undefined;
  return typeof metadata?.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

/** No answer, or one that could not be read to its end. */
function faultOfConnection(error: unknown, name: string): S3Fault {
  const code = systemCodeOf(error) ?? '';
  if (/^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|EPROTO$|HOSTNAME_MISMATCH)/.test(code)) {
    return 'tls';
  }
  // Node's own complaints about arguments bear codes too.
  if (error instanceof TypeError || error instanceof RangeError) return 'other';
  if (code !== '' || name === 'TimeoutError' || name === 'AggregateError') return 'passing';
  // An answer that was cut is XML that does not parse.
  if (error instanceof Error && '$response' in error) return 'passing';
  return 'other';
}

function detailOf(error: unknown): string {
  const name = error instanceof Error && error.name !== 'Error' ? error.name : '';
  const status = statusOf(error);
  // The SDK's advice to its callers is none to operators.
  const said = messageOf(error).replace(/\s*Deserialization error: .*$/s, '');
  const text = said === '' || said === name || said === 'UnknownError' ? name : name === '' ? said : `${name}: ${said}`;
  return `${text === '' ? 'no reason given' : text}${status === undefined ? '' : `, status ${status}`}`;
}

const faultOfStatus: Readonly<Record<number, S3Fault>> = {
  301: 'region',
  307: 'region',
  401: 'refused',
  403: 'denied',
  404: 'absent',
  405: 'unsupported',
  408: 'passing',
  412: 'taken',
  416: 'range',
  429: 'passing',
  501: 'unsupported',
  505: 'unsupported',
  507: 'full',
};

const faultOfName: Readonly<Record<string, S3Fault>> = {
  NoSuchKey: 'absent',
  NotFound: 'absent',
  NoSuchVersion: 'absent',
  NoSuchBucket: 'no-bucket',
  PreconditionFailed: 'taken',
  InvalidRange: 'range',
  AccessDenied: 'denied',
  Forbidden: 'denied',
  AllAccessDisabled: 'denied',
  AccountProblem: 'denied',
  InvalidAccessKeyId: 'refused',
  SignatureDoesNotMatch: 'refused',
  ExpiredToken: 'refused',
  InvalidToken: 'refused',
  TokenRefreshRequired: 'refused',
  InvalidSecurity: 'refused',
  NotSignedUp: 'refused',
  Unauthorized: 'refused',
  CredentialsProviderError: 'no-credentials',
  RequestTimeTooSkewed: 'clock',
  PermanentRedirect: 'region',
  TemporaryRedirect: 'region',
  AuthorizationHeaderMalformed: 'region',
  IllegalLocationConstraintException: 'region',
  NotImplemented: 'unsupported',
  MethodNotAllowed: 'unsupported',
  QuotaExceeded: 'full',
  XMinioStorageFull: 'full',
  XMinioAdminBucketQuotaExceeded: 'full',
  // Answers to a body that was damaged or cut on the way, to a slow line, to too much at once.
  BadDigest: 'passing',
  IncompleteBody: 'passing',
  XAmzContentSHA256Mismatch: 'passing',
  RequestTimeout: 'passing',
  SlowDown: 'passing',
  Throttling: 'passing',
  ThrottlingException: 'passing',
  TooManyRequests: 'passing',
  ConditionalRequestConflict: 'passing',
  OperationAborted: 'passing',
};

const explanations: Partial<Readonly<Record<S3Fault, { readonly reason?: string; readonly hint: string }>>> = {
  'no-bucket': { reason: 'the bucket does not exist', hint: 'make the bucket, or correct its name and the endpoint' },
  denied: {
    reason: 'these credentials may not do that',
    hint: 'give them the rights they need on the bucket (GetObject, PutObject, DeleteObject, ListBucket)',
  },
  refused: {
    reason: 'the credentials were refused',
    hint:
      "set BACKUP_S3_ACCESS_KEY and BACKUP_S3_SECRET_KEY, or renew what AWS's default chain finds; then run: " +
      'lifeboat doctor',
  },
  'no-credentials': {
    reason: 'there are no credentials',
    hint: "set BACKUP_S3_ACCESS_KEY and BACKUP_S3_SECRET_KEY, or give AWS's default chain something to find",
  },
  clock: { reason: "this host's clock is too far from the server's", hint: 'set the clock (NTP)' },
  region: { reason: 'the bucket is in another region', hint: "set BACKUP_S3_REGION to the bucket's region" },
  unsupported: { reason: 'the server does not support that', hint: 'see whether the endpoint is an S3 server' },
  full: { reason: 'no space left', hint: 'raise the quota of the bucket, or run: lifeboat cleanup' },
  passing: { hint: 'see whether the server and the way to it are up, then run the same command again' },
  tls: {
    reason: 'the connection cannot be trusted',
    hint: "name the authority's certificate in NODE_EXTRA_CA_CERTS, or correct the endpoint",
  },
};
