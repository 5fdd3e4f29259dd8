/**
 * Loaded into a command by NODE_OPTIONS=--import: kills it (SIGKILL, as an outage would) directly before or after the
 * n-th rename whose new name matches. KILL_AT is "<before|after> <n> <regular expression>".
 */
import { readlinkSync } from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const [, when, number, pattern] = /^(before|after) (\d+) (.*)$/.exec(process.env.KILL_AT ?? '') ?? [];
/** Files are named by the descriptor of their folder. */
function realPath(path) {
  return path.replace(/^\/proc\/self\/fd\/\d+(?=\/)/, (folder) => readlinkSync(folder));
}

if (when !== undefined) {
  const wanted = new RegExp(pattern);
  let left = Number(number);
  const { rename } = fsPromises;
  fsPromises.rename = async (from, to) => {
    const isIt = wanted.test(realPath(String(to))) && --left === 0;
    if (isIt && when === 'before') process.kill(process.pid, 'SIGKILL');
    await rename(from, to);
    if (isIt) process.kill(process.pid, 'SIGKILL');
  };
  syncBuiltinESMExports();
}
