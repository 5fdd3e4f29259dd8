/** Tar headers both ways, and as GNU tar reads them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { LifeboatError } from '../../../../src/lib/errors.ts';
import { decodeTarHeader, encodeTarHeader } from '../../../../src/source/files/tar-header.ts';
import type { TarMember } from '../../../../src/source/files/member.ts';

const plain: TarMember = {
  path: Buffer.from('srv/a.txt'),
  type: 'file',
  mode: 0o644,
  uid: 33,
  gid: 33,
  user: 'www-data',
  group: 'www-data',
  size: 5,
  mtimeNs: 1_700_000_000_000_000_000n,
};

const members: Record<string, TarMember> = {
  plain,
  nanoseconds: { ...plain, mtimeNs: 1_700_000_000_123_456_789n },
  'before 1970': { ...plain, mtimeNs: -1_500_000_001n },
  'year 2500': { ...plain, mtimeNs: 16_725_225_600_000_000_000n },
  'over 8 GiB': { ...plain, size: 3 * 2 ** 40 },
  'large ids': { ...plain, uid: 4_294_967_294, gid: 2_097_152 },
  'long names of owners': { ...plain, user: 'u'.repeat(32), group: 'größe' },
  'path of 100': { ...plain, path: Buffer.from('p'.repeat(100)) },
  'path of 101': { ...plain, path: Buffer.from('p'.repeat(101)) },
  'path in two fields': { ...plain, path: Buffer.from(`${'a/'.repeat(70)}${'b'.repeat(90)}`) },
  'path of 256': { ...plain, path: Buffer.from(`${'a'.repeat(155)}/${'b'.repeat(100)}`) },
  'path of 4000': { ...plain, path: Buffer.from(`${'abcdefghi/'.repeat(399)}xx`) },
  'long folder': { ...plain, type: 'folder', size: 0, path: Buffer.from(`${'a'.repeat(155)}/${'b'.repeat(99)}`) },
  'longer folder': { ...plain, type: 'folder', size: 0, path: Buffer.from(`${'a'.repeat(155)}/${'b'.repeat(100)}`) },
  'newline and equals': { ...plain, path: Buffer.from(`a\n12 path=b\n${'x'.repeat(120)}`) },
  'UTF-8': { ...plain, path: Buffer.from('ünï') },
  'not UTF-8': { ...plain, path: Buffer.from([0xff, 0x2f, 0xe9]) },
  'long, not UTF-8': { ...plain, path: Buffer.alloc(300, 0xe9) },
  'with holes': { ...plain, length: 2 ** 40 },
  'with holes, not UTF-8': { ...plain, length: 700, path: Buffer.from([0x61, 0x2f, 0xff]) },
  'with holes, long': { ...plain, length: 700, path: Buffer.from(`${'abcdefghi/'.repeat(39)}xx`) },
  symlink: { ...plain, type: 'symlink', size: 0, link: Buffer.from('../x') },
  'long symlink': { ...plain, type: 'symlink', size: 0, link: Buffer.from('é'.repeat(80)) },
  hardlink: { ...plain, type: 'hardlink', size: 0, link: Buffer.from('srv/b') },
  device: { ...plain, type: 'block', size: 0, device: { major: 259, minor: 300_000 } },
};

for (const [name, member] of Object.entries(members)) {
  test(`${name}: decodes to what was encoded, whatever bit is checked`, () => {
    const bytes = encodeTarHeader(member);
    assert.equal(bytes.length % 512, 0);
    assert.deepEqual(
      { ...decodeTarHeader(bytes), path: decodeTarHeader(bytes).path.toString('latin1') },
      { ...member, path: member.path.toString('latin1') },
    );
    for (const cut of [512, bytes.length - 1]) {
      if (cut < bytes.length) assert.throws(() => decodeTarHeader(bytes.subarray(0, cut)), LifeboatError);
    }
    const flipped = Buffer.from(bytes);
    flipped[bytes.length - 512] = (flipped[bytes.length - 512] ?? 0) ^ 1;
    assert.throws(() => decodeTarHeader(flipped), LifeboatError);
  });
}

test('GNU tar lists sizes over 8 GiB, large ids and times as encoded', () => {
  const listed = (member: TarMember): string => {
    // Sizes count only when the content follows; tar lists a member before it misses it.
    const ran = spawnSync('tar', ['-tv', '--numeric-owner', '--full-time', '--utc'], {
      input: encodeTarHeader(member),
      encoding: 'utf8',
      env: { LC_ALL: 'C.UTF-8', PATH: process.env['PATH'] ?? '' },
    });
    return ran.stdout;
  };
  assert.match(
    listed({ ...plain, size: 3 * 2 ** 40, uid: 4_294_967_294, mtimeNs: 1_700_000_000_123_456_789n }),
    /^-rw-r--r-- 4294967294\/33 +3298534883328 2023-11-14 22:13:20\.123456789 srv\/a\.txt$/m,
  );
});

test('headers of other kinds are refused', () => {
  const bytes = encodeTarHeader(plain);
  for (const flag of ['7', 'S', 'g', 'K']) {
    const other = Buffer.from(bytes);
    other.write(flag, 156);
    other.write(
      `${[...other]
        .reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    assert.throws(
      () => decodeTarHeader(other),
      (error) => error instanceof LifeboatError && error.code === 'integrity' && /unknown/.test(error.message),
    );
  }
});
