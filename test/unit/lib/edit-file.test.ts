/** Files that are changed in place: whole or not, whose they were, and never behind a link of somebody else. */
import assert from 'node:assert/strict';
import {
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { editFile } from '../../../src/lib/edit-file.ts';
import { lineDiff } from '../../../src/lib/line-diff.ts';

const folder = mkdtempSync(join(tmpdir(), 'edit-'));
after(() => rmSync(folder, { recursive: true }));
const made = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

test('an edit that fails, or that somebody else was faster with, leaves the file and nothing beside it', async () => {
  const path = made('one', 'before');
  await assert.rejects(
    editFile(path, async () => {
      throw new Error('no');
    }),
    /no/,
  );
  await assert.rejects(
    editFile(path, async (text) => {
      writeFileSync(path, 'theirs');
      return `${text} and ours`;
    }),
    /somebody else has just done so/,
  );
  assert.equal(readFileSync(path, 'utf8'), 'theirs');
  await editFile(path, async () => undefined);
  assert.deepEqual(readdirSync(folder), ['one']);
});

test('what is no text stays as it is', async () => {
  const path = made('bytes', Buffer.from([0xff, 0x00]));
  await assert.rejects(
    editFile(path, async (text) => `${text}!`),
    /no text in UTF-8/,
  );
  mkdirSync(join(folder, 'sub'));
  await assert.rejects(
    editFile(join(folder, 'sub'), async () => ''),
    /no plain file/,
  );
  symlinkSync('round', join(folder, 'round'));
  await assert.rejects(
    editFile(join(folder, 'round'), async () => ''),
    /in a circle/,
  );
});

test('root follows no link in a folder of another user, and changes no file that only bears a name there', async () => {
  if (process.geteuid?.() !== 0) return;
  const theirs = join(folder, 'theirs');
  mkdirSync(theirs);
  const target = made('roots', 'root only');
  symlinkSync(target, join(theirs, 'link'));
  linkSync(target, join(theirs, 'name'));
  writeFileSync(join(theirs, 'own'), 'x');
  for (const each of ['own', '.']) chownSync(join(theirs, each), 4242, 4243);
  await assert.rejects(
    editFile(join(theirs, 'link'), async () => 'changed'),
    /another user may have put there/,
  );
  await assert.rejects(
    editFile(join(theirs, 'name'), async () => 'changed'),
    /no plain file of its own/,
  );
  assert.equal(readFileSync(target, 'utf8'), 'root only');
  await editFile(join(theirs, 'own'), async () => 'changed');
  const { uid, gid } = lstatSync(join(theirs, 'own'));
  assert.deepEqual([uid, gid], [4242, 4243]);
});

test('a difference is told by lines', () => {
  assert.deepEqual(lineDiff('a\nb\nc\nd\ne\nf\n', 'a\nb\nc\nd\nE\nf\n'), [' b', ' c', ' d', '-e', '+E', ' f']);
  assert.deepEqual(lineDiff('', 'a\n'), ['+a']);
  assert.deepEqual(lineDiff('a\na\n', 'a\n'), ['-a'].toSpliced(0, 0, ' a'));
  assert.deepEqual(lineDiff('same', 'same\n'), []);
});
