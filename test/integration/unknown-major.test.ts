/**
 * A server of a major version that is not known yet: nothing of its log could be archived, so that is said before
 * somebody relies on it. A real server, whose version a proxy gives as a later one.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { documents } from '../../src/ui/json/documents.ts';
import { assertFailed, makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';

let server: TestPostgres;
let proxy: Server;
let bench: Bench;

before(async () => {
  server = await startPostgres({ port: 0 });
  const [row] = await server.query('postgres', "SELECT current_setting('server_version_num') AS v");
  const version = row?.['v'] ?? '';
  proxy = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    for (const each of [client, upstream]) each.on('error', () => each.destroy());
    client.pipe(upstream);
    upstream.on('data', (bytes) =>
      client.write(Buffer.from(bytes.toString('latin1').replaceAll(version, '200001'), 'latin1')),
    );
    upstream.on('end', () => client.end());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  bench = makeBench({ DATABASE_URL: `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable` });
  const postgres = { url: { env: 'DATABASE_URL' }, databases: ['postgres'], base: {} };
  writeFileSync(join(bench.folder, 'lifeboat.config.json'), JSON.stringify({ targets: { main: { postgres } } }));
  await bench.json('init');
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  proxy?.close();
  await server?.stop();
});

const unknown = /knows the write-ahead log of PostgreSQL 13 to 19, not that of 20/;
const hint = /newer lifeboat/;

test('base backups, streams and the recipe are refused', async () => {
  assertFailed(await bench.run('backup base'), 13, unknown, hint);
  assertFailed(await bench.run('wal stream --create-slot'), 13, unknown, hint);
  assert.deepEqual(await server.query('postgres', 'SELECT 1 FROM pg_replication_slots'), []);
  assertFailed(await bench.run('init --archive-command'), 13, unknown, hint);
  // It may be written beforehand.
  const away = { DATABASE_URL: 'postgres://postgres@127.0.0.1:1/postgres' };
  assert.equal((await bench.run('init --archive-command', { env: away })).exitCode, 0);
  assert.equal((await bench.run('init --archive-command', { env: { DATABASE_URL: undefined } })).exitCode, 0);
});

test('doctor says so', async () => {
  const { checks } = documents.doctor.parse(JSON.parse((await bench.run('doctor --json')).stdout));
  const archiving = checks.filter(({ name }) => name.endsWith('PostgreSQL archiving'));
  assert.deepEqual(
    archiving.map(({ ok }) => ok),
    ['fail'],
  );
  assert.match(archiving[0]?.message ?? '', unknown);
});
