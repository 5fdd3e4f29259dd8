/** kill -9 of a process that writes to a storage, at random moments, and what must hold afterwards. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RepositoryLocation } from '../../../src/config/config.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { contentOf } from './writer.ts';

const writer = fileURLToPath(new URL('writer.ts', import.meta.url));

/**
 * `locationJson`: the same location with plain secrets. Every listed object must be whole, and every acknowledged one
 * be listed. Returns how many were.
 */
export async function killWriterAndCheck(
  location: RepositoryLocation,
  locationJson: string,
  rounds: number,
): Promise<number> {
  const acknowledged: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const child = spawn(process.execPath, [writer, locationJson, `round-${round}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const closed = once(child, 'close');
    await once(child.stdout, 'data');
    await sleep(Math.random() * 120);
    child.kill('SIGKILL');
    const [, signal] = (await closed) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL', 'the writer ended by itself');
    // A last line without its end was not read by anybody.
    acknowledged.push(...said.split('\n').slice(0, -1));
  }
  const storage = await openStorage(location);
  const listed: string[] = [];
  for await (const { key } of storage.list('')) {
    assert.ok((await storage.get(key)).equals(contentOf(key)), `${key} is not whole`);
    listed.push(key);
  }
  await storage.close();
  assert.deepEqual(
    acknowledged.filter((key) => !listed.includes(key)),
    [],
    'acknowledged, but gone',
  );
  return acknowledged.length;
}
