import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planParts } from '../../../../../src/source/postgres/dump/big-tables.ts';
import { dumpCommands } from '../../../../../src/source/postgres/dump/pg-dump.ts';
import type { Relation } from '../../../../../src/source/postgres/facts/relations.ts';

const relation = (name: string, bytes: number, kind: 'r' | 'm' = 'r'): Relation => ({
  oid: '1',
  schema: 'public',
  name,
  kind,
  bytes,
  columns: [],
  isPlannable: true,
  isInOthersHands: false,
  movesWithin: undefined,
});

test('tables over the threshold get a part of their own, biggest first; materialized views never do', () => {
  const parts = planParts(
    [relation('a', 10), relation('b', 300), relation('c', 200), relation('v', 900, 'm'), relation('edge', 100)],
    100,
    '0002-',
  );
  assert.deepEqual(
    parts.tables.map(({ name }) => name),
    ['b', 'c'],
  );
  assert.deepEqual([parts.schema, parts.data, parts.restBytes], ['0002-schema.dump', '0002-data.dump', 110]);
  for (const { artifact } of parts.tables) assert.match(artifact, /^0002-data-[0-9a-f]{8}\.dump$/);
});

test("an artifact's name depends on the table's name only", () => {
  const named = (relations: Relation[]): string | undefined =>
    planParts(relations, 100, '').tables.find(({ name }) => name === 'b')?.artifact;
  assert.equal(named([relation('b', 300)]), named([relation('z', 999), relation('b', 101)]));
});

test('a name that is not valid UTF-8 stays in the rest', () => {
  assert.deepEqual(planParts([relation('b\ufffd', 300)], 100, '').tables, []);
});

test('each command dumps its part, exactly named, in the order of size with the schema last', () => {
  const parts = planParts([relation('We ird".""', 300), relation('small', 10)], 100, '');
  const commands = dumpCommands(parts, [
    { schema: 'public', name: 's"q', tableSchema: 'public', tableName: 'We ird".""' },
  ]);
  assert.deepEqual(
    commands.map(({ artifact, args }) => [artifact.replace(/-[0-9a-f]{8}/, ''), args]),
    [
      [
        'data.dump',
        [
          '--section=data',
          '--strict-names',
          '--table="public"."We ird""."""""',
          '--exclude-table-data="public"."s""q"',
        ],
      ],
      ['data.dump', ['--section=data', '--exclude-table-data="public"."We ird""."""""']],
      ['schema.dump', ['--section=pre-data', '--section=post-data']],
    ],
  );
});
