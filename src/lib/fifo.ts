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

/** What there is to be read can be looked for without waiting; whoever reads takes it from the pipe. */
export interface PeekableFifo extends Fifo {
  /** The read end once more, for reads that throw EAGAIN instead of waiting. */
  readonly peekFd: number;
}

/**
 * Both ends open, for the caller to close; nothing is left on disk. Opened r+ first, since each end alone would wait
 * for the other.
 */
export async function openFifo(): Promise<Fifo> {
  return openEnds(endsOf);
}

/** The same, with one more descriptor. */
export async function openPeekableFifo(): Promise<PeekableFifo> {
  return openEnds((path) => ({ ...endsOf(path), peekFd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) }));
}

function endsOf(path: string): Fifo {
  const readFd = openSync(path, constants.O_RDONLY);
  return { readFd, writeFd: openSync(path, constants.O_WRONLY) };
}

async function openEnds<T>(open: (path: string) => T): Promise<T> {
  return withScratchFolder(async (folder) => {
    const path = join(folder, 'fifo');
    await runTool({ file: 'mkfifo', args: ['-m', '600', path] });
    const both = openSync(path, 'r+');
    try {
      return open(path);
    } finally {
      closeSync(both);
      rmSync(path);
    }
  });
}
