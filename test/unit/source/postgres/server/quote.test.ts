import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../../../../src/source/postgres/server/quote.ts';

test('names are always quoted, quotes doubled', () => {
  assert.equal(quoteIdentifier('We ird"."'), '"We ird"".""" '.trim());
  assert.equal(quoteQualified('a.b', 'C'), '"a.b"."C"');
});

test('strings read the same whatever standard_conforming_strings is', () => {
  assert.equal(quoteLiteral("it's"), "'it''s'");
  assert.equal(quoteLiteral("a\\b'"), " E'a\\\\b'''");
});
