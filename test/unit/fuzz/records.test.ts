import { test } from 'node:test';
import { recordParsers } from '../../helpers/fuzz/record-parsers.ts';
import { fuzz } from '../../helpers/fuzz/run.ts';

for (const [seed, parser] of (await recordParsers()).entries()) {
  test(`whatever it is given, the parser of a ${parser.name} tells what it is or what is wrong`, async () => {
    await fuzz(parser, 2000, seed);
  });
}
