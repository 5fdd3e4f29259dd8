/** Threads of ours: small heaps, and nothing of the environment (it may hold secrets). */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

/** Starts the module `name`, which lies beside the caller; `caller` is its import.meta.url, in src/ or in dist/. */
export function startThread(caller: string, name: string): Worker {
  return new Worker(new URL(`${name}${extname(caller)}`, caller), {
    resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 },
    env: {},
    execArgv: [],
  });
}
