/** What a killed process has written down is gone after the next run; what it has struck off is left alone. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLeftovers } from '../../../src/lib/leftovers.ts';

const leftovers = new URL('../../../src/lib/leftovers.ts', import.meta.url).href;
const program = (state: string, folder: string): string => `
import { openLeftovers, rememberPath } from ${JSON.stringify(leftovers)};
openLeftovers(${JSON.stringify(state)});
rememberPath(${JSON.stringify(join(folder, 'held'))});
for (let n = 0; n < 2500; n++) rememberPath(${JSON.stringify(folder)} + '/passing-' + n)[Symbol.dispose]();
rememberPath(${JSON.stringify(join(folder, 'never-made'))});
console.log('ready');
setInterval(() => {}, 1000);
`;

test('a killed process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'leftovers-'));
  const state = join(folder, 'state');
  try {
    mkdirSync(join(folder, 'held/deep'), { recursive: true });
    writeFileSync(join(folder, 'passing-7'), 'made again by somebody else');
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program(state, folder)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const [journal] = readdirSync(join(state, 'run'));
    assert.ok(statSync(join(state, 'run', journal ?? '')).size < 200_000, 'the journal of a long run stays short');
    assert.deepEqual(openLeftovers(state), [], 'nothing of a living process is touched');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.deepEqual(openLeftovers(state), [join(folder, 'held')]);
    assert.equal(existsSync(join(folder, 'held')), false);
    assert.equal(existsSync(join(folder, 'passing-7')), true);
    assert.deepEqual(readdirSync(join(state, 'run')), []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
