/** Salts of boxes where the generator of random bytes repeats itself. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { saltFrom } from '../../../../src/repository/box/layout.ts';
import { encryption, testRepository } from '../../../helpers/repository/repository.ts';

test('the same random bytes give other salts for other content, and at another time', () => {
  const random = Buffer.alloc(32, 7);
  const salts = [
    saltFrom(random, Buffer.from('a')),
    saltFrom(random, Buffer.from('b')),
    saltFrom(random, Buffer.from('a')),
  ];
  assert.equal(new Set(salts.map((salt) => salt.toString('hex'))).size, 3);
  assert.ok(salts.every((salt) => salt.length === 32));
});

test('the page beside the rescue script says no checksum: who changes one changes both', async () => {
  using home = testRepository();
  await home.create(encryption({ enabled: false }));
  const page = readFileSync(join(home.root, 'rescue/README.md'), 'utf8');
  assert.match(page, /recovery sheet/);
  assert.doesNotMatch(page, /[0-9a-f]{64}/);
});
