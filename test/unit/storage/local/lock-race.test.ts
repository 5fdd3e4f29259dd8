/** Without hard links, two processes that find the same stale lock never both put the same object. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const racerFile = fileURLToPath(new URL('../../../helpers/storage/lock-racer.ts', import.meta.url));
const rounds = 60;
const racers = ['first', 'second', 'third'];

test('of processes that break the same stale lock one has the object, and the others are told', async () => {
  const root = mkdtempSync(join(tmpdir(), 'lock-race-'));
  const running = racers.map((content) => new Racer(root, content));
  try {
    for (let round = 0; round < rounds; round++) {
      const key = `object-${round}`;
      for (const lock of [`.lock-${key}`, `.lock-${key}.0123456789abcdef`]) leaveLock(join(root, lock));
      const said = await Promise.all(running.map((racer) => racer.put(key)));
      const winners = racers.filter((_, n) => said[n] === 'won');
      const lost = said.filter((each) => each === 'lost');
      assert.deepEqual([winners.length, lost.length], [1, racers.length - 1], `round ${round}`);
      assert.equal(readFileSync(join(root, key), 'latin1'), winners[0]);
      rmSync(join(root, `.lock-${key}`), { force: true });
    }
    assert.equal(readdirSync(root).length, rounds, 'no lock is left');
  } finally {
    for (const racer of running) racer.end();
    rmSync(root, { recursive: true, force: true });
  }
});

class Racer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(root: string, content: string) {
    this.#child = spawn(process.execPath, [racerFile, root, content], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** What it says of its put; undefined if it ended. */
  async put(key: string): Promise<string | undefined> {
    this.#child.stdin.write(`${key}\n`);
    return ((await this.#lines.next()) as IteratorYieldResult<string>).value;
  }

  end(): void {
    this.#child.kill();
  }
}

/** As a run left it that was killed an hour ago. */
function leaveLock(path: string): void {
  writeFileSync(path, '');
  utimesSync(path, Date.now() / 1000 - 3600, Date.now() / 1000 - 3600);
}
