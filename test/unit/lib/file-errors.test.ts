import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { fileError, fileReason, systemFailure } from '../../../src/lib/file-errors.ts';
import { placeFile, WalSpool } from '../../../src/operations/wal/fetch-spool.ts';
import { isShipped, noteShipped } from '../../../src/repository/shipped-notes.ts';
import { StreamSpool } from '../../../src/operations/wal/stream/spool.ts';
import { recoverTarget, removeTargetNote, writeTargetNote } from '../../../src/source/redis/target-note.ts';
import { parseRedisUrl } from '../../../src/source/redis/endpoint.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { failureDocument } from '../../../src/ui/failure.ts';

const folder = mkdtempSync(join(tmpdir(), 'file-errors-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'file');
const loop = join(folder, 'loop');
writeFileSync(file, 'x');
symlinkSync('loop', loop);

async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

test('the last net: a refusal that nobody has told in other words is no bug', async () => {
  const failure = systemFailure(await thrownBy(async () => readFile(loop)));
  const { code, exitCode, message, hint } = failureDocument(failure);
  assert.deepEqual([code, exitCode, message], ['usage', 2, `cannot open ${loop}: its symbolic links lead in a circle`]);
  assert.notEqual(hint, undefined);
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  assert.deepEqual(
    [failureDocument(systemFailure(full)).exitCode, failureDocument(systemFailure(full)).code],
    [15, 'space'],
  );
});

test('a bug stays one', async () => {
  const closed = await open(file);
  await closed.close();
  const bugs = [
    new TypeError('x is undefined'),
    await thrownBy(async () => closed.read()),
    await thrownBy(async () => readFile(`${file}\0`)),
    Object.assign(new Error('ENOENT'), { code: 'ENOENT' }),
  ];
  for (const bug of bugs) {
    assert.equal(systemFailure(bug), bug);
    assert.equal(failureDocument(bug).exitCode, 1);
  }
});

test('an error that was told already stays as it is, and all else keeps its message', () => {
  const told = new LifeboatError('integrity', 'damaged', { cause: Object.assign(new Error(), { code: 'EACCES' }) });
  assert.equal(fileError(told, 'cannot read x'), told);
  assert.equal(systemFailure(told), told);
  assert.equal(fileReason(new Error('odd')), 'odd');
});

test('what lies elsewhere than the act says is named', async () => {
  const error = fileError(await thrownBy(async () => readFile(join(file, 'deep'))), 'cannot restore into /srv');
  assert.match(String(error), /: cannot restore into \/srv: a part of the path is not a folder \(.*\/file\/deep\)$/);
});

test('each place that writes or reads for an operator tells what is refused', async () => {
  const endpoint = parseRedisUrl({ url: new Secret('redis://127.0.0.1:6379') });
  const context = { signal: new AbortController().signal, emit: () => {} };
  const note = { endpoint: 'x', master: { host: 'h', port: '1' }, settings: [] };
  const long = join(folder, 'x'.repeat(300));
  const places: Readonly<Record<string, () => Promise<unknown>>> = {
    'a fetched segment': async () => placeFile(join(loop, 'RECOVERYXLOG'), Buffer.from('x')),
    'a segment to keep': async () => new WalSpool(file, []).keep('0', Buffer.from('x')),
    'a segment that was kept': async () => new WalSpool(loop, []).take('0', join(folder, 'taken')),
    'kept segments': async () => new WalSpool(loop, []).clear(),
    'a note of what was shipped': async () => noteShipped(long, '0', ''),
    'whether it was shipped': async () => isShipped(long, file, ''),
    'the folder of a receiver': async () => new StreamSpool(long, 16 * 1024 * 1024).prepare(),
    'a note of a target': async () => writeTargetNote(long, note),
    'the note of a target': async () => recoverTarget(loop, endpoint, context),
    'the removal of a note': async () => removeTargetNote(loop, 'x'),
  };
  for (const [what, work] of Object.entries(places)) {
    const error = await thrownBy(work);
    assert.ok(error instanceof LifeboatError && error.code === 'usage', `${what}: ${String(error)}`);
    assert.doesNotMatch(error.message, /\bE[A-Z]{4,}\b/, what);
    assert.ok(error.hint !== undefined, what);
  }
});
