/** What is read of the server's words about damaged pages, in whatever language they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { damagedPagesOf, tellDamagedPages } from '../../../../../src/source/postgres/base/damaged-pages.ts';

test('file and block are named, and how many more there are', () => {
  const blocks = [2, 3, 5, 8, 13].map(
    (n) =>
      `WARNING:  checksum verification failed in file "./base/5/16384", block ${n}: calculated 8B2F but expected 0`,
  );
  const pages = damagedPagesOf([
    'NOTICE:  all required WAL segments have been archived',
    ...blocks,
    'WARNING:  further checksum verification failures in file "./base/5/16384" will not be reported',
    'WARNING:  file "./base/5/16384" has a total of 7 checksum verification failures',
    'WARNING:  checksum verification failed in file "pg_tblspc/16390/PG_15_202209061/5/16391.1", block 0: calculated ' +
      'A but expected FF',
    'WARNING:  checksum verification failed in file "/srv/global/fast/PG_15_202209061/5/16400", block 4: calculated ' +
      'B but expected FE',
    'WARNING:  9 total checksum verification failures',
  ]);
  assert.equal(pages.count, 9);
  assert.deepEqual(pages.named.slice(3), [
    { file: 'base/5/16384', block: 8 },
    { file: 'base/5/16384', block: 13 },
    { file: 'base/5/16384' },
    { file: 'pg_tblspc/16390/PG_15_202209061/5/16391.1', block: 0 },
    { file: '/srv/global/fast/PG_15_202209061/5/16400', block: 4 },
  ]);
  assert.match(tellDamagedPages(pages), /^9 pages of the cluster are damaged: base\/5\/16384 block 2, .*more in base/);
});

test('a server that speaks German', () => {
  assert.deepEqual(
    damagedPagesOf([
      'WARNUNG:  Prüfsummenüberprüfung fehlgeschlagen in Datei »./global/1262«, Block 1: berechnet 3C4D, ' +
        'aber erwartet 12',
      'WARNUNG:  Datei »./global/1262« hat insgesamt 1 Prüfsummenüberprüfungsfehler',
    ]),
    { count: 1, named: [{ file: 'global/1262', block: 1 }] },
  );
});

test('a server that names none (client_min_messages) still has one at least', () => {
  assert.deepEqual(damagedPagesOf([]), { count: 1, named: [] });
  assert.match(tellDamagedPages({ count: 1, named: [] }), /^1 page of the cluster is damaged; the backup/);
});
