/** Packs of a repository without encryption, changed by one who knows how tags are made there: everybody. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openArtifacts } from '../../../../src/repository/packs/artifact-reader.ts';
import { readAll, streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository } from '../../../helpers/repository/repository.ts';

test('bytes put into a pack with a tag of their own are not what the signed manifest names', async () => {
  using home = testRepository();
  const repository = await home.create(encryption({ enabled: false }));
  const manifest = await backUp(repository, [streamArtifact('globals.sql', [Buffer.from('CREATE ROLE a;')])]);
  const artifacts = manifest.components.flatMap((component) => component.artifacts);
  const read = async (): Promise<Buffer> => {
    const { storage } = repository;
    const reader = openArtifacts({ storage, dataKey: undefined, artifacts, trustChecksums: true });
    return readAll(reader.open('globals.sql'));
  };
  assert.equal((await read()).toString(), 'CREATE ROLE a;');
  const packs = join(home.root, 'packs');
  const [name = ''] = readdirSync(packs, { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('pack'));
  const pack = readFileSync(join(packs, name));
  const body = pack.subarray(64, 64 + 'CREATE ROLE a;'.length);
  assert.equal(body.toString(), 'CREATE ROLE a;', 'the first frame follows the header, as it is');
  body.write('CREATE ROLE b;');
  const hash = createHash('sha256').update(pack.subarray(0, 64)).update(Buffer.alloc(12)).update(body);
  hash.digest().copy(pack, 64 + body.length, 0, 16);
  writeFileSync(join(packs, name), pack);
  await assert.rejects(read(), { code: 'integrity' });
});
