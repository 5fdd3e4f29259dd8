/** A backup that somebody moved to trash is not told as one that never was. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository } from '../../../helpers/repository/repository.ts';

test('who asks for a backup in trash is told how to take it back', async () => {
  using home = testRepository();
  const repository = await home.create(encryption({ key: '0f'.repeat(32) }));
  await assert.rejects(repository.resolve('20260102'), { code: 'not_found', hint: /holds no backup yet/ });
  const { id } = await backUp(repository, [streamArtifact('one', [Buffer.from('content')])]);
  mkdirSync(join(home.root, 'trash'));
  renameSync(join(home.root, `manifests/${id}.json`), join(home.root, `trash/${id}.json`));
  for (const text of [id, id.slice(0, 12)]) {
    const hint = `it is in trash, or somebody hid it: lifeboat undelete ${id}`;
    await assert.rejects(repository.resolve(text), { code: 'not_found', hint });
  }
  await assert.rejects(repository.resolve('2000'), { code: 'not_found', hint: /lifeboat status tells/ });
});
