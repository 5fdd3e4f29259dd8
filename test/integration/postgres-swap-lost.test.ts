/** The connection is lost at the COMMIT of a swap: what is said of it is what the server has, by oid. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import type { PostgresUrl } from '../../src/config/postgres-url.ts';
import { swapDatabases, SwapUnknownError, undoSwap } from '../../src/source/postgres/restore/swap.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { startCommitProxy, type CommitCut, type CommitProxy } from '../helpers/source/commit-cut.ts';

let server: TestPostgres;
const context = { signal: new AbortController().signal, emit: () => {} };
const at = new Date('2026-01-02T03:04:05.678Z');

before(async () => {
  server = await startPostgres({ port: 0 });
});
after(async () => server?.stop());

interface Pair {
  readonly proxy: CommitProxy;
  readonly url: PostgresUrl;
  readonly live: string;
  readonly restored: string;
  /** The name that each of the two bears now, by the oid that it had: the live one, then the restored one. */
  now(): Promise<(string | null | undefined)[]>;
}

async function pair(live: string): Promise<Pair> {
  const restored = `${live}_new`;
  for (const name of [live, restored]) await server.query('postgres', `CREATE DATABASE ${name} TEMPLATE template0`);
  const oidOf = async (name: string): Promise<string | null | undefined> =>
    (await server.query('postgres', `SELECT oid FROM pg_database WHERE datname = '${name}'`))[0]?.['oid'];
  const oids = [await oidOf(live), await oidOf(restored)];
  const proxy = await startCommitProxy(server.port);
  after(() => proxy[Symbol.asyncDispose]());
  const nameOf = async (oid: unknown): Promise<string | null | undefined> =>
    (await server.query('postgres', `SELECT datname FROM pg_database WHERE oid = ${String(oid)}`))[0]?.['datname'];
  return {
    proxy,
    url: parsePostgresUrl(server.url().replace(`:${server.port}`, `:${proxy.port}`)),
    live,
    restored,
    now: () => Promise.all(oids.map(nameOf)),
  };
}

const kept = (live: string): string => `${live}_before_20260102T030405`;

test('committed, but the answer is lost: it is a swap that was done', async () => {
  const { proxy, url, live, restored, now } = await pair('answered');
  proxy.cut('unanswered');
  const report = await swapDatabases({ url, live, restored, at }, context);
  assert.equal(proxy.cuts(), 1);
  assert.equal(report.keptAs, kept(live));
  assert.deepEqual(await now(), [kept(live), live]);
  proxy.cut('unanswered');
  const undone = await undoSwap({ url, live, keptAs: report.keptAs, at }, context);
  assert.equal(proxy.cuts(), 2);
  assert.deepEqual(await now(), [live, undone.keptAs], 'taken back');
});

for (const how of ['unsent', 'stuck'] satisfies CommitCut[]) {
  test(`COMMIT never came there (${how}): nothing was changed, and it can be done again`, async () => {
    const { proxy, url, live, restored, now } = await pair(how);
    proxy.cut(how);
    const failure = { code: 'source', state: 'nothing was changed' };
    await assert.rejects(swapDatabases({ url, live, restored, at }, context), failure);
    assert.equal(proxy.cuts(), 1);
    assert.deepEqual(await now(), [live, restored]);
    const { keptAs } = await swapDatabases({ url, live, restored, at }, context);
    assert.deepEqual(await now(), [keptAs, live]);
    proxy.cut(how);
    await assert.rejects(undoSwap({ url, live, keptAs, at }, context), failure);
    assert.equal(proxy.cuts(), 2);
    assert.deepEqual(await now(), [keptAs, live], 'not taken back');
  });
}

test('where the server cannot be asked either, that is said, with what tells', async () => {
  const { proxy, url, live, restored, now } = await pair('unknown');
  proxy.cut('unanswered-for-good');
  const error = await swapDatabases({ url, live, restored, at }, context).then(
    () => assert.fail('it was told as done'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SwapUnknownError, String(error));
  assert.match(error.message, /may or may not have been swapped/);
  assert.doesNotMatch(`${error.message} ${error.state ?? ''}`, /nothing was changed/);
  assert.deepEqual(await now(), [kept(live), live]);
  const sql = /psql -c "([^"]+)"/.exec(error.hint ?? '')?.[1] ?? '';
  assert.deepEqual(await server.query('postgres', sql), [{ datname: live }]);
});
