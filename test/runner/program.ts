/**
 * Has dist/ built for a run of tests, whose commands then start in half the time that src/ takes. A change to src/
 * during the run is newer than dist/, so that bin/lifeboat.js goes on with src/.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Throws with what is wrong if it cannot be built. One build of a checkout at a time. */
export function buildProgram(root: string): void {
  const { status, stderr, error } = spawnSync(
    'flock',
    ['--no-fork', join(root, '.ci/build'), process.execPath, join(root, '.ci/build/build.ts'), '--program'],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`the program cannot be built: ${error?.message ?? stderr}`);
}
