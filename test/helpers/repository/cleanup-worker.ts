/**
 * A process that works on the home in a folder, one task for each line on standard input, and answers each with a line:
 * - "backup": a backup, slow at random moments; then "done <id> <read> <new> <parent>" or "failed <message>"
 * - "stop": the same, but it stops itself (SIGSTOP) when its first artifact is stored
 * - "delete <chance>": moves each backup, the newest too, to trash with that chance, and collects garbage without any
 *   grace time
 * - "clean <call>": a cleanup by the policy (the last one stays), which kills itself at the call-th call that changes
 *   something (0: never)
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../src/lib/errors.ts';
import { collectGarbage } from '../../../src/repository/deletion/collector.ts';
import { acquireLease } from '../../../src/repository/leases/acquire.ts';
import { moveToTrash } from '../../../src/repository/deletion/trash.ts';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { backUpOnce, configOf, makeHome, quiet } from './cleanup-home.ts';

const [folder = ''] = process.argv.slice(2);
const home = makeHome(folder);
const loaded = await configOf(folder);

for await (const line of createInterface({ input: process.stdin })) {
  const [task, number = '0'] = line.split(' ');
  try {
    if (task === 'backup' || task === 'stop') {
      let stopped = false;
      let longest = Math.floor(Math.random() * 10);
      const { id, previousId, components } = await backUpOnce(loaded, [], (event) => {
        if (task === 'backup') block(longest-- === 0 ? 400 : 10);
        else if (event.type === 'artifact' && !stopped) {
          stopped = true;
          process.kill(process.pid, 'SIGSTOP');
        }
      });
      console.log(`done ${id} ${components[0]?.readBytes} ${components[0]?.newBytes} ${previousId}`);
    } else if (task === 'delete') console.log(`done ${await deleteSome(Number(number))}`);
    else if (task === 'clean') {
      await home.cleanup({}, {}, killing(openLocalStorage(home.root), Number(number)));
      console.log('done');
    }
  } catch (error) {
    console.log(`failed ${messageOf(error)}`);
  }
}

/** So that the two come to meet at ever other places. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * ms);
}

async function deleteSome(chance: number): Promise<number> {
  const repository = await home.open(dawdling(openLocalStorage(home.root)));
  const context = quiet();
  await using lease = await acquireLease(repository.storage, { scope: 'cleanup', command: 'cleanup' });
  for await (const listed of repository.listManifests()) {
    if (Math.random() < chance) await moveToTrash(repository, listed, () => lease.check());
  }
  const { packs } = await collectGarbage(repository, {
    graceMs: 0,
    nowMs: lease.sinceMs,
    lease,
    leaving: new Set(),
    mayLeave: (ids) => new Set(ids),
    readBase: async () => undefined,
    ruleOf: () => ({ keepSinceMs: Infinity }),
    onDeleted: async () => {},
    context,
  });
  return packs;
}

function dawdling(storage: Storage): Storage {
  const wait = async (): Promise<void> => {
    if (Math.random() < 0.3) await sleep(Math.random() * 10);
  };
  return {
    ...bound(storage),
    put: async (...call) => wait().then(async () => storage.put(...call)),
    get: async (...call) => wait().then(async () => storage.get(...call)),
    async *list(...call) {
      await wait();
      yield* storage.list(...call);
    },
    remove: async (...call) => wait().then(async () => storage.remove(...call)),
  };
}

/** Removals one object at a time, so that each is a step of its own. */
function killing(storage: Storage, call: number): Storage {
  let calls = 0;
  const step = (): void => {
    if (++calls === call) process.kill(process.pid, 'SIGKILL');
  };
  return {
    ...bound(storage),
    put: async (...args) => {
      step();
      await storage.put(...args);
    },
    remove: async (keys) => {
      for (const key of keys) {
        step();
        await storage.remove([key]);
      }
    },
  };
}

function bound(storage: Storage): Storage {
  return {
    location: storage.location,
    capabilities: storage.capabilities,
    put: async (...call) => storage.put(...call),
    get: async (...call) => storage.get(...call),
    stat: async (...call) => storage.stat(...call),
    list: (...call) => storage.list(...call),
    remove: async (...call) => storage.remove(...call),
    space: async () => storage.space(),
    removeStaleTemporaries: async (...call) => storage.removeStaleTemporaries(...call),
    close: async () => storage.close(),
  };
}
