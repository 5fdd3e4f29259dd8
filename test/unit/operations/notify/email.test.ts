/** Mail to a real SMTP server on loopback, with and without TLS. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { Channel } from '../../../../src/config/config.ts';
import { LaterSecret } from '../../../../src/config/secrets.ts';
import { noticeOf } from '../../../../src/operations/notify/notice.ts';
import { send } from '../../../../src/operations/notify/send.ts';
import { isRefusal } from '../../../../src/lib/refused-error.ts';

let folder: string;
let certificate: { key: string; cert: string };

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'mail-'));
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', [...args, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  certificate = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  writeFileSync(join(folder, 'empty'), '');
});
after(() => rmSync(folder, { recursive: true }));

const notice = noticeOf({
  event: 'backup.failed',
  outcome: 'failure',
  severity: 'critical',
  title: 'backup failed\r\nBcc: evil@example.com',
  text: 'no connection to postgres://u:hush@db',
  incident: { key: 'k', id: '0b9d4a3e-6a55-4c50-8d3c-bb1d6e0a1c11', since: '2026-01-02T03:04:05.000Z', count: 1 },
});

interface MailServer extends AsyncDisposable {
  readonly port: number;
  readonly mails: { readonly text: string; readonly isSecure: boolean; readonly to: readonly string[] }[];
}

async function startServer(options: SMTPServerOptions): Promise<MailServer> {
  const mails: MailServer['mails'] = [];
  const server = new SMTPServer({
    authOptional: true,
    logger: false,
    onData: (stream, session, done) => {
      let text = '';
      stream.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      stream.on('end', () => {
        const to = session.envelope.rcptTo.map(({ address }) => address);
        mails.push({ text, isSecure: session.secure, to });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    [Symbol.asyncDispose]: async () => new Promise((resolve) => server.close(() => resolve())),
  };
}

const channel = (url: string, isTlsRequired = true): Channel => ({
  name: 'mail',
  timeoutMs: 5000,
  digestMs: undefined,
  type: 'email',
  url: new LaterSecret(url, { env: {}, folder: '/' }),
  to: ['ops@example.com', 'dba@example.com'],
  from: 'lifeboat@example.com',
  isTlsRequired,
});
const mail = async (to: Channel): Promise<void> => send(to, notice, AbortSignal.timeout(5000));

describe('with a certificate that is trusted', () => {
  before(() => tls.setDefaultCACertificates([...tls.getCACertificates(), certificate.cert]));
  after(() => tls.setDefaultCACertificates(tls.getCACertificates('bundled')));

  test('smtps:// from the start, smtp:// by STARTTLS; one thread; no title becomes a header', async () => {
    const logins: string[] = [];
    const onAuth: SMTPServerOptions['onAuth'] = ({ username = '', password = '' }, _session, done) => {
      logins.push(`${username}:${password}`);
      done(null, { user: username });
    };
    for (const secure of [true, false]) {
      await using server = await startServer({ ...certificate, secure, authOptional: false, onAuth });
      await mail(channel(`${secure ? 'smtps' : 'smtp'}://me:p%40ss@localhost:${server.port}`));
      const [got] = server.mails;
      assert.deepEqual([got?.isSecure, got?.to], [true, ['ops@example.com', 'dba@example.com']]);
      assert.match(got?.text ?? '', /^References: <0b9d4a3e-6a55-4c50-8d3c-bb1d6e0a1c11@lifeboat.invalid>/m);
      assert.match(got?.text ?? '', /^Subject: \[lifeboat\] backup failed Bcc: evil/m);
      assert.doesNotMatch(got?.text ?? '', /^Bcc|hush/m);
    }
    assert.deepEqual(logins, ['me:p@ss', 'me:p@ss']);
  });
});

test('a certificate that nobody vouches for: nothing is sent', async () => {
  await using server = await startServer({ ...certificate, secure: true });
  await assert.rejects(mail(channel(`smtps://localhost:${server.port}`)), /the mail was not taken/);
  assert.deepEqual(server.mails, []);
});

test('a server without STARTTLS gets nothing, unless it is said that it need not be', async () => {
  await using server = await startServer({ hideSTARTTLS: true, disabledCommands: ['STARTTLS'] });
  await assert.rejects(mail(channel(`smtp://localhost:${server.port}`)), /the mail was not taken/);
  assert.deepEqual(server.mails, []);
  await mail(channel(`smtp://localhost:${server.port}`, false));
  assert.deepEqual(
    server.mails.map(({ isSecure }) => isSecure),
    [false],
  );
});

test('a server that hangs, is not there or refuses is a failure, and no password is in its words', async () => {
  const hangs: SMTPServerOptions = { disabledCommands: ['STARTTLS'], onMailFrom: () => {} };
  await using slow = await startServer(hangs);
  await assert.rejects(send(channel(`smtp://localhost:${slow.port}`, false), notice, AbortSignal.timeout(300)));
  await assert.rejects(mail(channel('smtp://localhost:1', false)), /the mail was not taken/);
  const refuse = Object.assign(new Error('no such user, login was me:sesame'), { responseCode: 550 });
  await using strict = await startServer({
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username }, _session, done) => done(null, { user: username }),
    allowInsecureAuth: true,
    onRcptTo: (_address, _session, done) => done(refuse),
  });
  const refused = await mail(channel(`smtp://me:sesame@localhost:${strict.port}`, false)).catch((e: unknown) => e);
  assert.ok(isRefusal(refused) && refused instanceof Error);
  assert.doesNotMatch(refused.message, /sesame/);
});
