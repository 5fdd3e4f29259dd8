/**
 * Pipes without a name on disk, whose ends may be read and written by blocking calls (Node's own pipes to children are
 * sockets that do not block).
 */
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './exec.ts';
import { withScratchFolder } from './fs.ts';

export interface Fifo {
  readonly readFd: number;
  readonly writeFd: number;
}

/**
 * Both ends open, for the caller to close; nothing is left on disk. Opened r+ first, since each end alone would wait
 * for the other.
 */
export async function openFifo(): Promise<Fifo> {
  return withScratchFolder(async (folder) => {
    const path = join(folder, 'fifo');
    await runTool({ file: 'mkfifo', args: ['-m', '600', path] });
    const both = openSync(path, 'r+');
    try {
      const readFd = openSync(path, constants.O_RDONLY);
      return { readFd, writeFd: openSync(path, constants.O_WRONLY) };
    } finally {
      closeSync(both);
      rmSync(path);
    }
  });
}
