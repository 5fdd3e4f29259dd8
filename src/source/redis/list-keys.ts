/**
 * All keys of the selected database by SCAN. A server that never says that it has come to the end is told from one
 * whose tables are nearly empty by how many keys it had said there are.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { RedisConnection } from './connection.ts';
import type { KeySpool } from './key-spool.ts';
import { bytesIn, listIn } from './replies.ts';

export interface KeyListLimits {
  /** As the server counts them; more may come meanwhile, and SCAN may name a key several times. */
  readonly expectedKeys: number;
  /** What the names may take together. */
  readonly maxBytes: number;
}

/** What may come meanwhile. */
const moreKeys = 1_000_000;
/** SCAN looks at 1,000 places or more a time: so many in vain mean a table that no server keeps so empty. */
const emptyPages = 10_000;

/** Adds them to `spool`. Throws LifeboatError: source, when there is no end to it; space. */
export async function listKeys(
  connection: RedisConnection,
  spool: KeySpool,
  { expectedKeys, maxBytes }: KeyListLimits,
  context: RunContext,
): Promise<void> {
  let [keys, bytes, empty] = [0, 0, 0];
  for (let cursor = '0'; ;) {
    context.signal.throwIfAborted();
    const [next, page] = listIn(await connection.callBuffer('SCAN', cursor, 'COUNT', 1000));
    const names = bytesIn(page);
    keys += names.length;
    if (names.length === 0) empty++;
    if (keys > 4 * expectedKeys + moreKeys || empty > emptyPages + keys) throw endless(connection, keys, expectedKeys);
    for (const name of names) {
      if ((bytes += name.length + 4) > maxBytes) throw noRoom();
      await spool.add(name);
    }
    cursor = String(next);
    if (cursor === '0') return;
  }
}

function endless({ endpoint }: RedisConnection, keys: number, expectedKeys: number): LifeboatError {
  return new LifeboatError(
    'source',
    `SCAN on Redis at ${endpoint.text} does not come to an end: ${keys} keys so far, of ${expectedKeys}`,
    { hint: 'see that a Redis server listens there, and that nobody stands between' },
  );
}

function noRoom(): LifeboatError {
  return new LifeboatError('space', 'not enough space in the scratch folder for the names of the keys in Redis', {
    hint: 'free some space there, or name another folder by TMPDIR',
  });
}
