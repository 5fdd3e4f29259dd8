import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import { findInPassfile } from '../../../src/config/pgpass.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgpass-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'pgpass');

/** The line, where it is looked for, and what libpq's passwordFromFile finds. */
const lines: readonly (readonly [line: string, host: string, found: string | undefined])[] = [
  ['localhost:5432:d:u:p', '/var/run/postgresql', 'p'],
  ['localhost:5432:d:u:p', '/tmp', 'p'],
  ['localhost:5432:d:u:p', '/run/other', undefined],
  ['/run/other:5432:d:u:p', '/run/other', 'p'],
  ['/tmp:5432:d:u:p', '/tmp', undefined],
  ['h:5432:d:u:p:more', 'h', 'p'],
  ['h:5432:d:u', 'h', undefined],
  ['h:5432:d:u:\n*:*:*:*:later', 'h', undefined],
  ['\\*:*:*:*:p', 'h', undefined],
  ['\\*:*:*:*:p', '*', 'p'],
  ['#h:5432:d:u:p', 'h', undefined],
  ['h:5432:d:u:p\\:q\\\\r', 'h', 'p:q\\r'],
  ['\\:\\:1:5432:d:u:p', '::1', 'p'],
  ['h:5432:d:u:p\r\nh:*:*:*:q', 'h', 'p'],
  ['hh:5432:d:u:no\nh:5433:d:u:no\nh:*:*:*:yes', 'h', 'yes'],
];

for (const [line, host, found] of lines) {
  test(`${JSON.stringify(line)} for ${host}`, async () => {
    writeFileSync(file, `${line}\n`, { mode: 0o600 });
    assert.equal(await findInPassfile(file, { host, port: '5432', database: 'd', user: 'u' }), found);
    const url = `postgres://u@${encodeURIComponent(host.includes(':') ? '' : host)}/d`;
    if (host.includes(':') || host === '*') return;
    const env = { DATABASE_URL: url, PGPASSFILE: file };
    const given = (await loadConfig({ cwd: '/', env })).config.targets.get('main')?.postgres?.url.reveal() ?? '';
    assert.equal(/^postgres:\/\/u(?::([^@]*))?@/.exec(given)?.[1], found && encodeURIComponent(found));
  });
}

test('a file that others may use, a folder, or none at all counts as empty; the first is told', async () => {
  writeFileSync(file, '*:*:*:*:p\n');
  const query = { host: 'h', port: '5432', database: 'd', user: 'u' };
  const warnings: string[] = [];
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(file, mode);
    assert.equal(await findInPassfile(file, query, (message) => warnings.push(message)), undefined);
  }
  assert.equal(warnings.length, 3);
  chmodSync(file, 0o600);
  assert.equal(await findInPassfile(file, query), 'p');
  mkdirSync(join(folder, 'sub'), { mode: 0o700 });
  assert.equal(await findInPassfile(join(folder, 'sub'), query), undefined);
  assert.equal(await findInPassfile(join(folder, 'none'), query), undefined);
});

test("the URL's own passfile comes before PGPASSFILE", async () => {
  const [own, other] = [join(folder, 'own'), join(folder, 'other')];
  writeFileSync(own, '*:*:*:*:own\n', { mode: 0o600 });
  writeFileSync(other, '*:*:*:*:other\n', { mode: 0o600 });
  const env = { DATABASE_URL: `postgres://u@h/d?passfile=${encodeURIComponent(own)}`, PGPASSFILE: other };
  const { config } = await loadConfig({ cwd: '/', env });
  assert.match(config.targets.get('main')?.postgres?.url.reveal() ?? '', /^postgres:\/\/u:own@h/);
});
