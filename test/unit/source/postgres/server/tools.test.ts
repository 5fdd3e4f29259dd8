import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifeboatError } from '../../../../../src/lib/errors.ts';
import { assertRestrictsPsql } from '../../../../../src/source/postgres/server/tools.ts';

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
