/**
 * The S3 client as this program wants it: no retries of its own (the retry wrapper rides out faults
 * and tells the operator), a time limit on silence rather than on duration, kept connections, and the
 * checksums that every server understands.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3Location } from '../../config/config.ts';

export interface S3ClientOptions {
  /** A connection that moves no byte for so long is given up, in milliseconds. Default 20 s. */
  readonly idleTimeoutMs?: number | undefined;
}

const connectTimeoutMs = 10_000;
const maxConnections = 32;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Connects to nothing yet. Without keys AWS's default chain finds them (environment, profile, instance role). */
export function createS3Client(location: S3Location, options: S3ClientOptions = {}): S3Client {
  const client = new S3Client({ ...clientConfig(location, options), ...credentials(location) });
  client.middlewareStack.add(
    (next) => async (args) => {
      const { request } = args as { request?: unknown };
      if (isRequest(request)) addDigests(request);
      return next(args);
    },
    { name: 'lifeboatDigests', step: 'build', priority: 'low' },
  );
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args);
        // Objects are limited where they are read; their refusals are not.
        const { statusCode = 0 } = result.response as { statusCode?: number };
        if (commandName !== 'GetObjectCommand' || statusCode >= 300) limitAnswer(result.response);
        return result;
      },
    { name: 'lifeboatLimits', step: 'deserialize', priority: 'low' },
  );
  return client;
}

/** Where a key is in the bucket; of the empty key: what every path begins with. */
export function pathOf({ prefix }: S3Location, key: string): string {
  return prefix === '' ? key : `${prefix}/${key}`;
}

/** A key as the SDK's commands want it. */
export function objectOf(location: S3Location, key: string): { Bucket: string; Key: string } {
  return { Bucket: location.bucket, Key: pathOf(location, key) };
}

/** The second argument of the SDK's send(). */
export function requestOptions(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

function clientConfig(location: S3Location, options: S3ClientOptions): S3ClientConfig {
  const region = location.region ?? (location.endpoint === undefined ? undefined : 'us-east-1');
  return {
    maxAttempts: 1,
    forcePathStyle: location.pathStyle,
    ...(region === undefined ? {} : { region }),
    ...(location.endpoint === undefined ? {} : { endpoint: location.endpoint }),
    // The default trailing CRC checksums break several compatible servers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // "Expect: 100-continue" would open a new connection for each pack.
    expectContinueHeader: false,
    logger: silent,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      socketTimeout: options.idleTimeoutMs ?? 20_000,
      httpAgent: { keepAlive: true, maxSockets: maxConnections },
      httpsAgent: { keepAlive: true, maxSockets: maxConnections },
      logger: silent,
    },
  };
}

function credentials({ accessKey, secretKey, sessionToken }: S3Location): Pick<S3ClientConfig, 'credentials'> {
  if (accessKey === undefined || secretKey === undefined) return {};
  const token = sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() };
  return { credentials: { accessKeyId: accessKey.reveal(), secretAccessKey: secretKey.reveal(), ...token } };
}

/** A page of a listing has a thousand names of 1 KiB at most, and some words about each; errors are short. */
const maxAnswerBytes = 16 * 1024 * 1024;

/** The SDK collects whatever is no object, and parses it: from a server that may go on for ever. */
function limitAnswer(response: unknown): void {
  const answer = response as { body?: unknown };
  if (answer.body instanceof Readable) answer.body = Readable.from(limited(answer.body));
}

async function* limited(body: Readable): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    if ((bytes += piece.length) > maxAnswerBytes) {
      throw new Error(`the server's answer has more than ${maxAnswerBytes} bytes`);
    }
    yield piece;
  }
}

interface HttpRequest {
  readonly body?: unknown;
  readonly headers: Record<string, string>;
}

function isRequest(value: unknown): value is HttpRequest {
  return typeof value === 'object' && value !== null && 'headers' in value && 'method' in value;
}

/**
 * Every body bears Content-MD5 (DeleteObjects wants it on some servers, which do not know the SDK's CRC32)
 * and its SHA-256, computed once for both the checksum header and the signature.
 */
function addDigests({ body, headers }: HttpRequest): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  if (!(bytes instanceof Uint8Array)) return;
  for (const name of Object.keys(headers)) {
    if (/^x-amz-(checksum-|sdk-checksum-algorithm$)/i.test(name)) delete headers[name];
  }
  const sha256 = createHash('sha256').update(bytes).digest();
  headers['content-md5'] = createHash('md5').update(bytes).digest('base64');
  headers['x-amz-checksum-sha256'] = sha256.toString('base64');
  headers['x-amz-content-sha256'] = sha256.toString('hex');
}
