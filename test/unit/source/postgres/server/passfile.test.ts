import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parsePostgresUrl } from '../../../../../src/config/postgres-url-parser.ts';
import { findPassword } from '../../../../../src/source/postgres/server/passfile.ts';

const folder = mkdtempSync(join(tmpdir(), 'lbpass-'));
after(() => rmSync(folder, { recursive: true }));

const file = join(folder, 'pgpass');
writeFileSync(
  file,
  '# comment:*:*:*:no\nother:*:*:*:no\n*:*:*:u\\:x:p\\:\\\\w\nlocalhost:5433:d:*:by ' +
    'socket\nh:*:d:*:first\nh:*:*:*:second\n',
  { mode: 0o600 },
);

const find = (url: string, database = 'd'): Promise<string | undefined> =>
  findPassword(parsePostgresUrl(`${url}?passfile=${encodeURIComponent(file)}`).withDatabase(database));

test('the first line that fits wins; * fits all, a backslash escapes, sockets are localhost', async () => {
  assert.equal(await find('postgres://u@h/d'), 'first');
  assert.equal(await find('postgres://u@h/d', 'e'), 'second');
  assert.equal(await find('postgres://u%3Ax@z/d'), 'p:\\w');
  assert.equal(await find('postgres://u@%2Ftmp:5433/d'), 'by socket');
  assert.equal(await find('postgres://u@z/d'), undefined);
  assert.equal(await find('postgres://u:own@h/d'), 'own');
});

test('a file that others may read does not count', async () => {
  chmodSync(file, 0o644);
  assert.equal(await find('postgres://u@h/d'), undefined);
  chmodSync(file, 0o600);
});
