/** The same as test/unit/fuzz, with fifty times as many inputs, of other seeds. */
import { test } from 'node:test';
import { configParsers } from '../helpers/fuzz/config-parsers.ts';
import { recordParsers } from '../helpers/fuzz/record-parsers.ts';
import { redisParsers } from '../helpers/fuzz/redis-parsers.ts';
import { repositoryParsers } from '../helpers/fuzz/repository-parsers.ts';
import { fuzz } from '../helpers/fuzz/run.ts';
import { sourceParsers } from '../helpers/fuzz/source-parsers.ts';

const parsers = [
  ...configParsers,
  ...(await repositoryParsers()),
  ...sourceParsers,
  ...(await recordParsers()),
  ...redisParsers,
];

for (const [n, parser] of parsers.entries()) {
  test(`100,000 inputs for the parser of a ${parser.name}`, async () => {
    await fuzz(parser, 100_000, 1000 + n);
  });
}
