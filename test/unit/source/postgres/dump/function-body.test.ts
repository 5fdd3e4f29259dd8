import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesInBody } from '../../../../../src/source/postgres/dump/function-body.ts';

function shown(body: string): string[] {
  return namesInBody(body).map(
    ({ kind, schema, name }) => `${kind} ${schema === undefined ? '' : `${schema}.`}${name}`,
  );
}

test('calls, relations and types, with their schema or without', () => {
  assert.deepEqual(shown('BEGIN RETURN helper(i) AND rules.good(i); END'), ['function helper', 'function rules.good']);
  assert.deepEqual(shown('SELECT n * (SELECT rate FROM rates r JOIN public."Odd ""T""" o ON true)'), [
    'relation rates',
    'relation public.Odd "T"',
  ]);
  assert.deepEqual(shown('SELECT $1::mood, x::public.mood, CAST(Y AS text)'), [
    'type mood',
    'type public.mood',
    'function cast',
  ]);
  assert.deepEqual(shown('DECLARE r Rates%ROWTYPE; BEGIN INSERT INTO log VALUES (1); UPDATE ONLY t SET a = 1; END'), [
    'relation rates',
    'relation log',
    'function values',
    'relation only',
    'relation t',
  ]);
});

test('not what is in strings and comments, and not what the statement itself makes', () => {
  assert.deepEqual(shown("SELECT 'f(x)' || E'\\'g(' || $q$ h( $q$ -- i(\n /* FROM j */"), []);
  assert.deepEqual(shown('WITH rates AS (SELECT 1) SELECT * FROM rates'), ['function as']);
  assert.deepEqual(shown("SELECT unaccent('unaccent', t)"), ['function unaccent']);
});

test('an unfinished string or quote ends nothing, and takes no time', () => {
  assert.deepEqual(shown(`SELECT f('${'x'.repeat(100_000)}`).slice(0, 1), ['function f']);
  assert.deepEqual(shown(`h(${'"'.repeat(100_001)} g(`), ['function h']);
  assert.deepEqual(shown(`g(${'$a$ $b$ '.repeat(50_000)} ${'/*'.repeat(50_000)}`), ['function g']);
});
