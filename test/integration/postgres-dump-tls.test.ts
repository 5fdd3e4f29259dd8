/** libpq's TLS modes against a real server with a certificate of our own authority. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { runTool } from '../../src/lib/exec.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { withConnection } from '../../src/source/postgres/server/connection.ts';
import { libpqEnvironment } from '../../src/source/postgres/server/libpq.ts';
import { type TestPostgres, startPostgres } from '../helpers/servers/postgres.ts';

let server: TestPostgres;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lbtls-'));
  const openssl = (...args: string[]): Promise<unknown> => runTool({ file: 'openssl', args, cwd: folder });
  for (const name of ['ca', 'other']) {
    await openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
    );
  }
  await openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    'server.key',
    '-out',
    'server.csr',
    '-subj',
    '/CN=localhost',
  );
  writeFileSync(join(folder, 'names'), 'subjectAltName=DNS:localhost\n');
  await openssl(
    'x509',
    '-req',
    '-in',
    'server.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-extfile',
    'names',
    '-out',
    'server.pem',
    '-days',
    '2',
  );
  server = await startPostgres({ port: 0, password: 'pw' });
  const { uid, gid } = statSync(server.dataDir);
  for (const [from, to] of [
    ['server.pem', 'server.crt'],
    ['server.key', 'server.key'],
  ] as const) {
    copyFileSync(join(folder, from), join(server.dataDir, to));
    chmodSync(join(server.dataDir, to), 0o600);
    chownSync(join(server.dataDir, to), uid, gid);
  }
  await server.query('postgres', 'ALTER SYSTEM SET ssl = on');
  writeFileSync(
    join(server.dataDir, 'pg_hba.conf'),
    'local all all trust\nhostssl all postgres all scram-sha-256\nhostnossl all plain all trust\n',
  );
  await server.query('postgres', 'CREATE ROLE plain LOGIN; SELECT pg_reload_conf()');
});

after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Whether the session is encrypted, by our own connection and by libpq's; the two must agree. */
async function encrypted(host: string, parameters: string, login = 'postgres:pw'): Promise<string> {
  const url = parsePostgresUrl(`postgres://${login}@${host}:${server.port}/postgres?${parameters}`);
  const sql = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
  const libpq = await runTool({
    file: join(server.binDir, 'psql'),
    args: ['-wXAtc', sql],
    env: libpqEnvironment(url),
  }).then(
    ({ stdout }) => stdout.trim(),
    () => 'refused',
  );
  const ours = await withConnection(
    url,
    {},
    async (connection) => (await connection.query(sql))[0]?.['ssl'] ?? '',
  ).catch((error: unknown) => {
    assert.ok(error instanceof LifeboatError && error.exitCode === 13, String(error));
    return 'refused';
  });
  assert.equal(ours, libpq, `${host} ${parameters}`);
  return ours;
}

test('each mode does what libpq does', async () => {
  const ca = `sslrootcert=${encodeURIComponent(join(folder, 'ca.pem'))}`;
  const other = `sslrootcert=${encodeURIComponent(join(folder, 'other.pem'))}`;
  assert.deepEqual(
    [
      await encrypted('127.0.0.1', ''),
      await encrypted('127.0.0.1', 'sslmode=prefer'),
      await encrypted('127.0.0.1', 'sslmode=allow'),
      await encrypted('127.0.0.1', 'sslmode=require'),
      await encrypted('127.0.0.1', 'sslmode=disable'),
      await encrypted('127.0.0.1', `sslmode=verify-ca&${ca}`),
      await encrypted('127.0.0.1', `sslmode=verify-ca&${other}`),
      await encrypted('localhost', `sslmode=verify-full&${ca}`),
      await encrypted('127.0.0.1', `sslmode=verify-full&${ca}`),
      await encrypted('localhost', `sslmode=verify-full&${other}`),
      await encrypted('127.0.0.1', `sslmode=require&${other}`),
    ],
    ['t', 't', 't', 't', 'refused', 't', 'refused', 't', 'refused', 'refused', 'refused'],
  );
});

test('a user who may only come without encryption is let in by "prefer", not by "require"', async () => {
  assert.deepEqual(
    [await encrypted('127.0.0.1', 'sslmode=prefer', 'plain'), await encrypted('127.0.0.1', 'sslmode=require', 'plain')],
    ['f', 'refused'],
  );
});

test('hostaddr is where to connect; the certificate is compared with the host', async () => {
  const at = `hostaddr=127.0.0.1&sslrootcert=${encodeURIComponent(join(folder, 'ca.pem'))}&sslmode`;
  assert.deepEqual(
    [
      await encrypted('localhost', `${at}=verify-full`),
      await encrypted('elsewhere.invalid', `${at}=verify-full`),
      await encrypted('elsewhere.invalid', `${at}=verify-ca`),
      await encrypted('%2Fnowhere', `${at}=verify-ca`),
    ],
    ['t', 'refused', 't', 't'],
  );
});
