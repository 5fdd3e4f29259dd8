import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { faultsOf } from '../../../src/config/issues.ts';
import { settingsSchema } from '../../../src/config/schema.ts';
import { faultIn, phraseOf } from '../../../src/config/schema-words.ts';
import { evidenceSchema } from '../../../src/repository/backups/evidence-record.ts';
import { manifestSchema } from '../../../src/repository/manifests/manifest.ts';
import { filesFacts } from '../../../src/source/files/facts.ts';
import { baseFacts } from '../../../src/source/postgres/base/facts.ts';
import { postgresFacts } from '../../../src/source/postgres/facts/facts.ts';
import { redisFacts } from '../../../src/source/redis/facts.ts';
import { assertPlainWords, junk } from '../../helpers/junk.ts';

const schemas: Readonly<Record<string, z.ZodType>> = {
  manifest: manifestSchema,
  evidence: evidenceSchema,
  'facts of PostgreSQL': postgresFacts,
  'facts of a base backup': baseFacts,
  'facts of Redis': redisFacts,
  'facts of files': filesFacts,
  configuration: settingsSchema,
};

describe('what does not fit is told in plain words', () => {
  for (const [name, schema] of Object.entries(schemas)) {
    test(name, () => {
      let issues = 0;
      for (const leaf of junk) {
        for (const reportInput of [true, false]) {
          const { error } = schema.safeParse(filledWith(leaf, z.toJSONSchema(schema, { io: 'input' })), {
            reportInput,
          });
          if (error === undefined) continue;
          assertPlainWords(faultIn(error));
          for (const issue of error.issues) assertPlainWords(phraseOf(issue));
          if (schema !== settingsSchema || !reportInput) continue;
          for (const { message } of faultsOf(error, (path) => path)) assertPlainWords(message);
        }
        issues++;
      }
      assert.ok(issues >= junk.length);
    });
  }

  test('a place, a kind and a pattern that people know', () => {
    const schema = z.strictObject({
      packsSha256: z.string().regex(/^[0-9a-f]{64}$/),
      parts: z.array(z.strictObject({ bytes: z.int().nonnegative() })).optional(),
    });
    const said = (value: unknown): string => faultIn(schema.safeParse(value).error ?? assert.fail());
    assert.equal(said({ packsSha256: 'x' }), 'packsSha256 is not a SHA-256 in hexadecimal');
    assert.equal(said({}), 'packsSha256 is missing, or is not a text');
    assert.equal(said('x'), 'it is missing, or is not an object');
    const packsSha256 = '0'.repeat(64);
    assert.equal(said({ packsSha256, parts: [{ bytes: -1 }] }), 'parts[0].bytes must be at least 0');
    assert.equal(said({ packsSha256, '\u001b[31m': 1 }), 'it has keys that are not known: "\\u001b[31m"');
  });
});

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly $ref?: string;
}

/** A document with every object and list of the schema, and that value wherever none of them is. */
function filledWith(leaf: unknown, schema: object): unknown {
  const { properties, items, additionalProperties, anyOf, oneOf } = schema as JsonSchema;
  const inner = (anyOf ?? oneOf)?.findLast(({ type }) => type === 'object' || type === 'array');
  if (inner !== undefined) return filledWith(leaf, inner);
  if (items !== undefined) return [filledWith(leaf, items)];
  const entries = Object.entries(properties ?? {}).map(([key, each]) => [key, filledWith(leaf, each)]);
  if (typeof additionalProperties === 'object') return { 'a key\u001b': filledWith(leaf, additionalProperties) };
  return properties === undefined ? leaf : { ...Object.fromEntries(entries), 'not\u001bknown': leaf };
}
