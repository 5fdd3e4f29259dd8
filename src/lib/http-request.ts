/**
 * One HTTP request with an end: all of it within the signal's time, an answer of which little is read, and no way to
 * another host than the one that was named.
 */
import http from 'node:http';
import https from 'node:https';
import { collectAtMost } from './bounded-read.ts';
import { LifeboatError, systemCodeOf } from './errors.ts';
import { programVersion } from './version.ts';
import { RefusedError } from './refused-error.ts';

export interface HttpRequest {
  readonly method?: 'POST' | 'PUT' | 'GET';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpAnswer {
  /** 200 to 299. */
  readonly status: number;
  readonly text: string;
}

const mostAnswerBytes = 64 * 1024;
const mostRedirects = 3;

/**
 * Rejects unless it is answered with 2xx; with RefusedError where the same request will fare no better. No message
 * holds the URL: those of webhooks are secrets.
 */
export async function request(url: string, asked: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
  let at = parse(url);
  for (let redirects = 0; ; redirects++) {
    const { status, text, location } = await once(at, asked, signal);
    if (status >= 200 && status < 300) return { status, text };
    const next = location === undefined ? undefined : redirected(at, status, location);
    if (next === undefined || redirects >= mostRedirects) throw failure(status, text, location);
    at = next;
  }
}

function parse(url: string): URL {
  const parsed = URL.parse(url.trim());
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new Error('what is configured is no http or https URL');
  }
  return parsed;
}

/** Only where the request stays the same, and with whom it was meant for. */
function redirected(from: URL, status: number, location: string): URL | undefined {
  if (status !== 307 && status !== 308) return undefined;
  const to = URL.parse(location, from.href);
  return to?.origin === from.origin ? to : undefined;
}

function failure(status: number, text: string, location: string | undefined): Error {
  const said = text.trim() === '' ? '' : `: ${text.trim().slice(0, 200)}`;
  if (status >= 300 && status < 400) {
    return new Error(`it was answered with a redirect (${status}) that is not followed${location ? '' : said}`);
  }
  const message = `it was answered with ${status}${said}`;
  return [400, 413, 415, 422].includes(status) ? new RefusedError(message) : new Error(message);
}

async function once(
  url: URL,
  { method = 'POST', headers = {}, body }: HttpRequest,
  signal: AbortSignal,
): Promise<{ status: number; text: string; location: string | undefined }> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const { request: open } = url.protocol === 'https:' ? https : http;
  const sent = open(url, {
    method,
    signal,
    agent: false,
    headers: {
      'user-agent': `lifeboat/${programVersion()}`,
      connection: 'close',
      ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
      ...headers,
    },
  });
  sent.on('response', resolve);
  sent.on('error', reject);
  sent.end(body);
  try {
    const answer = await promise;
    const bytes = await collectAtMost(answer, mostAnswerBytes, 'the answer');
    return { status: answer.statusCode ?? 0, text: bytes.toString(), location: answer.headers.location };
  } catch (error) {
    throw plainFailure(error);
  } finally {
    sent.destroy();
  }
}

/** Without addresses and names. */
function plainFailure(error: unknown): Error {
  if (error instanceof LifeboatError) return error;
  const code = systemCodeOf(error) ?? (error instanceof AggregateError ? systemCodeOf(error.errors[0]) : undefined);
  const words = code === undefined ? undefined : known[code];
  if (words !== undefined) return new Error(words);
  if (code !== undefined) return new Error(`the connection failed (${code})`);
  return error instanceof Error ? new Error(error.message) : new Error('the connection failed');
}

const known: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  ENOTFOUND: 'its host is not known',
  EAI_AGAIN: 'its host cannot be looked up now',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'its host cannot be reached',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by nobody who is trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by nobody who is trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by nobody who is trusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is of another host',
};
