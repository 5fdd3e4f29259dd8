/** Starts cleanup-worker.ts and talks with it; a race of two of them, round by round. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { newHome, type CleanupHome } from './cleanup-home.ts';

export interface Worker extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Its one-line answer; rejects if it ends without one. */
  ask(task: string): Promise<string>;
}

export function startWorker(home: CleanupHome): Worker {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'cleanup-worker.ts'), home.folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines: Interface = createInterface({ input: child.stdout });
  const closed = once(child, 'close');
  return {
    child,
    ask: async (task) => {
      const answer = once(lines, 'line');
      child.stdin.write(`${task}\n`);
      const first = await Promise.race([answer, closed.then(() => undefined)]);
      if (first === undefined) {
        throw new Error(`the worker ended at "${task}" by ${child.signalCode ?? child.exitCode}`);
      }
      return String(first[0]);
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await closed;
    },
  };
}

/**
 * Rounds in which one process takes a backup while the other deletes again and again, the newest included, and collects
 * without any grace time; so many rounds, and a few more if it did not happen by then. After each, every backup that is
 * listed is read to its end. Resolves to how many backups used chunks of an earlier one, for how many of these that one
 * was deleted meanwhile, and what was collected while they ran.
 */
export async function race(rounds: number): Promise<{ reusing: number; orphaned: number; collected: number }> {
  using home = await newHome();
  await using taker = startWorker(home);
  await using deleter = startWorker(home);
  const seen = { reusing: 0, orphaned: 0, collected: 0 };
  for (let round = 0; round < rounds || (seen.orphaned === 0 && round < rounds * 5); round++) {
    home.change(round);
    let running = true;
    const taking = taker.ask('backup').finally(() => (running = false));
    while (running) {
      const deleted = await deleter.ask('delete 0.3');
      // A backup that has just lost its parent, and not looked yet, stops a collection.
      assert.match(
        deleted,
        /^done \d+$|^failed .* needs backup .*, which is neither live nor in trash$/,
        `round ${round}`,
      );
      seen.collected += Number(/^done (\d+)$/.exec(deleted)?.[1] ?? 0);
    }
    // A backup may find its parent gone, but nothing else may go wrong.
    const taken = await taking;
    assert.match(taken, /^done /, `round ${round}`);
    const [, , readBytes, newBytes, parent = ''] = taken.split(' ');
    const reuses = Number(newBytes) < Number(readBytes);
    const left = await home.ids();
    if (reuses) seen.reusing++;
    if (reuses && !left.includes(parent)) seen.orphaned++;
    await home.readAll();
  }
  return seen;
}
