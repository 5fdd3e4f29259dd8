/**
 * Mail by SMTP. Unless it is said that it need not be, the connection is encrypted and the server's certificate is
 * checked: by smtps:// from the start, by smtp:// with STARTTLS, and where that is refused nothing is sent.
 */
import { hostname } from 'node:os';
import type { SMTPTransportOptions } from 'nodemailer';
import type { ChannelOf } from '../../../config/config.ts';
import type { Notice } from '../notice.ts';
import { RefusedError } from '../../../lib/refused-error.ts';
import { linesOf } from './plain-text.ts';

/** Rejects unless the server has taken it for each recipient. All of it ends with the signal. */
export async function sendEmail(
  { url, to, from, isTlsRequired }: ChannelOf<'email'>,
  notice: Notice,
  signal: AbortSignal,
): Promise<void> {
  const options = serverOf((await url.fetch(signal)).reveal(), isTlsRequired);
  const { createTransport } = await import('nodemailer');
  const { title, incident, id } = notice;
  const thread = incident === undefined ? {} : { references: `<${incident.id}@lifeboat.invalid>` };
  try {
    const { rejected } = await createTransport(options).sendMail({
      from: { name: 'Lifeboat', address: from ?? `lifeboat@${hostname()}` },
      to: [...to],
      subject: `[lifeboat] ${title}`,
      text: [title, '', ...linesOf(notice), ''].join('\n'),
      messageId: `<${id}@lifeboat.invalid>`,
      ...thread,
      headers: { 'Auto-Submitted': 'auto-generated' },
      disableFileAccess: true,
      disableUrlAccess: true,
      signal,
    });
    if (rejected.length > 0) throw new RefusedError(`the mail server refused ${rejected.length} of the recipients`);
  } catch (error) {
    throw plainFailure(error, options.auth?.pass);
  }
}

function serverOf(text: string, isTlsRequired: boolean): SMTPTransportOptions & { auth?: { pass: string } } {
  const url = URL.parse(text.trim());
  if (url === null || !/^smtps?:$/.test(url.protocol) || url.hostname === '') {
    throw new Error('what is configured is no URL such as smtps://user:password@host:465');
  }
  const secure = url.protocol === 'smtps:';
  const [user, pass] = [url.username, url.password].map(decodeURIComponent);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    requireTLS: !secure && isTlsRequired,
    ignoreTLS: !isTlsRequired,
    name: hostname(),
    connectionTimeout: 30_000,
    greetingTimeout: 30_000,
    socketTimeout: 60_000,
    ...(user === undefined || user === '' ? {} : { auth: { user, pass: pass ?? '' } }),
  };
}

/** What a server says may quote what it was sent. */
function plainFailure(error: unknown, password: string | undefined): Error {
  if (error instanceof RefusedError) return error;
  const { message, responseCode } = error as Partial<Error> & { readonly responseCode?: number };
  const said = password === undefined || password === '' ? message : message?.replaceAll(password, '***');
  const words = `the mail was not taken: ${(said ?? 'unknown').slice(0, 300)}`;
  return responseCode !== undefined && responseCode >= 550 && responseCode < 560
    ? new RefusedError(words)
    : new Error(words);
}
