/**
 * A process that takes a lease and tells on standard output what becomes of it, one word a line: "acquired", "locked
 * <id of the holder>", "released", "lost". Fails if another holder is inside at the same time. Usage: lease-holder.ts
 * <folder> <scope> <hold ms> [back-off ms]
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { acquireLease } from '../../../src/repository/leases/acquire.ts';
import type { LeaseScope } from '../../../src/repository/leases/record.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';

const [folder = '', scope = '', holdMs = '0', backOffMs = '20'] = process.argv.slice(2);
try {
  await using lease = await acquireLease(openLocalStorage(folder), {
    scope: scope as LeaseScope,
    command: `holder ${process.pid}`,
    times: { backOffMs: [1, Number(backOffMs)] },
    onLost: () => console.log('lost'),
  });
  // Dot names are no objects of the storage. Fails if another holder is inside.
  const inside = join(folder, `.inside-${scope}`);
  writeFileSync(inside, String(process.pid), { flag: 'wx' });
  console.log('acquired');
  await sleep(Number(holdMs));
  await lease.check();
  rmSync(inside);
  // Told before it is given back: afterwards another one may already have it.
  console.log('released');
} catch (error) {
  if (!(error instanceof LifeboatError) || error.code !== 'locked') throw error;
  console.log(`locked ${(error.facts?.['lease'] as { id?: string } | undefined)?.id}`);
}
