/**
 * One small document sent over HTTP: a total time-out over all of it, no redirect followed (what is sent, and its
 * credentials, are for that host only), and no more of the answer read than an error message needs. URLs may hold
 * credentials and tokens: no message shows more of one than its host.
 */
import { LifeboatError, messageOf } from './errors.ts';
import type { Secret } from './secret.ts';

export interface HttpDocument {
  readonly method?: 'POST' | 'PUT' | 'GET';
  /** http: or https:; user and password in it are sent as basic authentication. */
  readonly url: Secret;
  readonly headers?: ReadonlyMap<string, Secret | string>;
  readonly body?: string;
}

export interface HttpAnswer {
  readonly status: number;
  /** Its beginning. */
  readonly text: string;
}

const totalMs = 10_000;
const mostBytes = 64 * 1024;

/** Resolves for answers from 200 to 299. Throws LifeboatError `storage` for others, and where there is none. */
export async function sendHttp(document: HttpDocument, what: string, signal: AbortSignal): Promise<HttpAnswer> {
  const { url, authorization } = partsOf(document.url, what);
  const headers = new Headers(authorization === undefined ? {} : { authorization });
  for (const [name, value] of document.headers ?? []) {
    headers.set(name, typeof value === 'string' ? value : value.reveal());
  }
  const failed = (why: string, cause?: unknown): LifeboatError =>
    new LifeboatError('storage', `cannot send ${what} to ${url.host}: ${why}`, { retryable: true, cause });
  const limit = AbortSignal.any([signal, AbortSignal.timeout(totalMs)]);
  let answer: HttpAnswer;
  try {
    const { method = 'POST', body = null } = document;
    const response = await fetch(url, { method, headers, body, redirect: 'manual', signal: limit });
    answer = { status: response.status, text: await beginningOf(response) };
  } catch (error) {
    signal.throwIfAborted();
    // fetch's own message is "fetch failed"; the reason lies below it, and names no more than host and port.
    const reason = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw failed(limit.aborted ? `no answer within ${totalMs / 1000} s` : messageOf(reason), error);
  }
  if (answer.status >= 200 && answer.status <= 299) return answer;
  throw failed(`it answers ${answer.status}: ${answer.text.trim().slice(0, 200) || 'and says nothing'}`);
}

function partsOf(secret: Secret, what: string): { readonly url: URL; readonly authorization?: string } {
  const url = URL.parse(secret.reveal());
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new LifeboatError('usage', `cannot send ${what}: its URL is none of http: or https:`);
  }
  if (url.username === '' && url.password === '') return { url };
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = url.password = '';
  return { url, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

async function beginningOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk as Uint8Array);
    bytes += (chunk as Uint8Array).length;
    // Leaving the loop ends the connection.
    if (bytes >= mostBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, mostBytes).toString();
}
