import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessListOf } from '../../../../../src/source/postgres/facts/access-list.ts';

const revoke = 'REVOKE ALL ON DATABASE :DATABASE: FROM PUBLIC';

test('statements of earlier versions become data, the placeholder at its one place only', () => {
  const grants = [
    revoke,
    'GRANT CONNECT, TEMPORARY ON DATABASE :DATABASE: TO PUBLIC',
    'GRANT CREATE ON DATABASE :DATABASE: TO "x:DATABASE:""y" WITH GRANT OPTION',
    'GRANT CONNECT ON DATABASE :DATABASE: TO "PUBLIC"',
    'GRANT CONNECT ON DATABASE :DATABASE: TO reader_1',
  ];
  assert.deepEqual(accessListOf({ grants }), {
    grants: [
      { privileges: ['CONNECT', 'TEMPORARY'], grantable: false },
      { role: 'x:DATABASE:"y', privileges: ['CREATE'], grantable: true },
      { role: 'PUBLIC', privileges: ['CONNECT'], grantable: false },
      { role: 'reader_1', privileges: ['CONNECT'], grantable: false },
    ],
    refused: [],
  });
});

test('what is not of that form is never run', () => {
  const refused = [
    'ALTER ROLE eve SUPERUSER',
    'GRANT CONNECT ON DATABASE :DATABASE: TO x; ALTER ROLE eve SUPERUSER',
    'GRANT CONNECT ON DATABASE :DATABASE: TO x, y',
    'GRANT ALL ON DATABASE :DATABASE: TO x',
    'GRANT CONNECT ON DATABASE other TO x',
    'GRANT CONNECT ON DATABASE :DATABASE: TO "x"y"',
    'GRANT CONNECT ON DATABASE :DATABASE: TO x\n',
  ];
  assert.deepEqual(accessListOf({ grants: [revoke, ...refused] }), { grants: [], refused });
});

test('no list at all is the default one; an empty one gives nobody anything', () => {
  assert.deepEqual(accessListOf({ grants: [] }), { grants: undefined, refused: [] });
  assert.deepEqual(accessListOf({}), { grants: undefined, refused: [] });
  assert.deepEqual(accessListOf({ accessList: [] }), { grants: [], refused: [] });
});
