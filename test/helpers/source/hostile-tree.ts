/**
 * A folder that belongs to a user without rights, who goes on changing it while somebody else works there: folders and
 * files become symlinks that lead out of it, pipes, sockets, other files, and themselves again.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Nobody's. */
export const intruderId = 65_534;

export interface HostileTree {
  /** What is backed up. */
  readonly path: string;
  /** Goes on until it is disposed of. */
  start(): Promise<AsyncDisposable>;
}

const folders = ['a', 'b', 'deep/er'];

/**
 * Made below `home`, with links that lead to the folder `outside` and to its files `names`, which are names of the tree
 * too.
 */
export function makeHostileTree(home: string, outside: string, names: readonly string[]): HostileTree {
  const path = join(home, 'tree');
  const spare = join(home, 'spare');
  for (const each of [home, path, spare]) mkdirSync(each, { recursive: true });
  for (const folder of folders) {
    mkdirSync(join(path, folder), { recursive: true });
    for (const name of names) writeFileSync(join(path, folder, name), 'harmless');
    writeFileSync(join(path, folder, 'big'), Buffer.alloc(600_000, 'harmless '));
  }
  for (const [n, folder] of folders.entries()) {
    symlinkSync(outside, join(spare, `folder-${n}`));
    for (const name of names) symlinkSync(join(outside, name), join(spare, `link-${n}-${name}`));
    execFileSync('mkfifo', [join(spare, `pipe-${n}`)]);
    mkdirSync(join(spare, `place-${n}`));
    mkdirSync(join(path, folder, 'inner'));
    writeFileSync(join(path, folder, 'inner/file'), 'harmless');
  }
  execFileSync('chown', ['-hR', `${intruderId}:${intruderId}`, home]);
  chmodSync(home, 0o755);
  return { path, start: () => startChanging({ path, spare, names }) };
}

async function startChanging(place: {
  path: string;
  spare: string;
  names: readonly string[];
}): Promise<AsyncDisposable> {
  const child = spawn(process.execPath, ['-e', loop, JSON.stringify({ ...place, folders, intruderId })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Each change is taken back by the next, so that most of the time all is there. */
const loop = `
const fs = require('node:fs');
const { join } = require('node:path');
const { path, spare, names, folders, intruderId } = JSON.parse(process.argv[1]);
process.setgroups([]); process.setgid(intruderId); process.setuid(intruderId);
const attempt = (...calls) => { for (const call of calls) try { call(); } catch {} };
const swap = (there, other) => attempt(
  () => fs.renameSync(there, other + '.kept'),
  () => fs.renameSync(other, there),
  () => fs.statSync(path),
  () => fs.renameSync(there, other),
  () => fs.renameSync(other + '.kept', there),
);
const changes = folders.flatMap((folder, n) => [
  () => swap(join(path, folder), join(spare, 'folder-' + n)),
  () => swap(join(path, folder, 'inner'), join(spare, 'folder-' + n)),
  ...names.map((name) => () => swap(join(path, folder, name), join(spare, 'link-' + n + '-' + name))),
  () => swap(join(path, folder, names[0]), join(spare, 'pipe-' + n)),
  () => swap(join(path, folder, 'big'), join(spare, 'pipe-' + n)),
  () => attempt(() => fs.truncateSync(join(path, folder, 'big'), 5)),
  () => attempt(() => fs.truncateSync(join(path, folder, 'big'), 700000)),
  () => attempt(() => fs.appendFileSync(join(path, folder, names[0]), 'more')),
  () => attempt(() => fs.truncateSync(join(path, folder, names[0]), 8)),
]);
// The way to the tree, too.
changes.push(() => swap(path, join(spare, 'folder-0')));
process.stdout.write('ready');
const turn = () => {
  for (let n = 0; n < 300; n++) changes[Math.floor(Math.random() * changes.length)]();
  setImmediate(turn);
};
turn();
`;

/** A folder that only its owner may look into, with files of those names that hold `secret`. */
export function makeSecrets(folder: string, names: readonly string[], secret: string, owner = 0): void {
  mkdirSync(folder, { mode: 0o700 });
  for (const name of names) {
    writeFileSync(join(folder, name), secret, { mode: 0o600 });
    chownSync(join(folder, name), owner, owner);
  }
  chownSync(folder, owner, owner);
}
