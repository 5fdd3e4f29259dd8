import { test } from 'node:test';
import { repositoryParsers } from '../../helpers/fuzz/repository-parsers.ts';
import { fuzz } from '../../helpers/fuzz/run.ts';

for (const [seed, parser] of (await repositoryParsers()).entries()) {
  test(`whatever it is given, the parser of a ${parser.name} tells what it is or what is wrong`, async () => {
    await fuzz(parser, 2000, seed);
  });
}
