/** Among which base backups a recovery chooses, and why there are none where some are there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseBackups } from '../../../../src/operations/pitr/choose-base.ts';
import type { ListedManifest } from '../../../../src/repository/manifests/listing.ts';
import type { Repository } from '../../../../src/repository/repository.ts';

type Trust = ListedManifest['trust'];

const holding = (...trusts: readonly Trust[]): Repository =>
  ({
    async *listManifests() {
      for (const [n, trust] of trusts.entries()) {
        const manifest = { id: `main-${n}`, target: 'main', components: [{ kind: 'base' }] };
        yield { manifest, trust, reason: 'its writer is nobody that is known' };
      }
    },
  }) as unknown as Repository;

test('one that counts is taken, whatever others there are', async () => {
  for (const trusts of [['sealed'], ['untrusted', 'sealed'], ['unchecked', 'untrusted', 'sealed']] as const) {
    const found = await baseBackups(holding(...trusts), undefined);
    assert.deepEqual(
      found.map(({ manifest }) => manifest.id),
      [`main-${trusts.length - 1}`],
    );
  }
});

test('none that counts: the newest says why', async () => {
  await assert.rejects(baseBackups(holding('untrusted'), undefined), {
    code: 'integrity',
    message: /main-0 cannot be trusted: its writer/,
    hint: /BACKUP_ENCRYPTION_TRUSTED_KEYS/,
  });
  await assert.rejects(baseBackups(holding('unchecked', 'untrusted'), 'main'), { code: 'key' });
  assert.deepEqual(await baseBackups(holding('untrusted'), 'other'), []);
  assert.deepEqual(await baseBackups(holding(), undefined), []);
});
