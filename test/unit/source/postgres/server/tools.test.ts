import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../../src/lib/errors.ts';
import { assertRestrictsPsql, restoreToolsOf } from '../../../../../src/source/postgres/server/tools.ts';

test('only versions whose pg_restore keeps an archive from commanding psql feed it', () => {
  const may = (version: string): boolean => {
    try {
      assertRestrictsPsql({ version, major: Number.parseInt(version, 10) });
      return true;
    } catch (error) {
      assert.ok(error instanceof LifeboatError && error.exitCode === 16);
      return false;
    }
  };
  for (const version of ['13.22', '14.19', '15.14', '15.18', '16.10', '17.6', '18.0', '18beta1', '19']) {
    assert.ok(may(version), version);
  }
  for (const version of ['12.22', '13.21', '14.18', '15.13', '15.2', '16.9', '17.5', '17beta1', '9.6']) {
    assert.ok(!may(version), version);
  }
});

test('a restore takes the oldest programs that are as new as the target and as what wrote the backup', () => {
  const found = ['13.22', '15.18', '17.6', '18.0'].map((version) => ({ version, major: Number.parseInt(version, 10) }));
  for (const [target, writer, wanted] of [
    [15, '15.18', 15],
    [15, '17.2', 17],
    [13, '13.1', 13],
    [14, '13.1', 15],
    [18, '17.6', 18],
    [13, '16.1', 17],
  ] as const) {
    assert.equal(restoreToolsOf(found, target, writer).major, wanted, `${target}, ${writer}`);
  }
  const refused = { code: 'tool', message: /archives that pg_dump 19beta1 wrote: only version 13.22, 15.18/ };
  assert.throws(() => restoreToolsOf(found, 15, '19beta1'), refused);
  assert.throws(() => restoreToolsOf(found, 19, '15.18'), { code: 'tool', message: /a server of version 19/ });
});
