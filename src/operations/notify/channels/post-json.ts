/** A JSON document to a service, and its answer. */
import { request, type HttpAnswer } from '../../../lib/http-request.ts';

/** Rejects as request does. `headers` beside the type. */
export async function postJson(
  url: string,
  document: object,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  const body = JSON.stringify(document);
  return request(url, { body, headers: { 'content-type': 'application/json', ...headers } }, signal);
}

/** The answer as an object; empty where it is none. */
export function answerOf({ text }: HttpAnswer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** For what was answered with 2xx, and is a failure all the same. */
export function notTaken({ status, text }: HttpAnswer): Error {
  return new Error(`it was answered with ${status}, but not that it was taken: ${text.trim().slice(0, 200)}`);
}
