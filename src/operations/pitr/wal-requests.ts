/** What a recovering server asks for: lines in a pipe that it may write to, and that only we read. */
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { runTool } from '../../lib/exec.ts';
import { give } from '../../lib/owners.ts';
import type { Owner } from '../../lib/owners.ts';

export interface WalRequest {
  /** Letters, digits and dots, as names of WAL files are. */
  readonly name: string;
  /** Process id of who asks, as it sees itself. */
  readonly asker: string;
}

/** No question is as long; whoever writes more asks nothing. */
const longestLine = 200;

/**
 * Makes the pipe and answers questions, one after the other, until it is disposed. `path`: in a folder of ours, not
 * there yet.
 */
export async function hearRequests(
  path: string,
  owner: Owner | undefined,
  answer: (request: WalRequest) => Promise<void>,
): Promise<AsyncDisposable> {
  await runTool({ file: 'mkfifo', args: ['-m', '600', path] });
  // For both: so it neither waits for a writer nor ends with the last one.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  let answering = Promise.resolve();
  let rest = '';
  try {
    give(fd, owner);
    const pipe = new Socket({ fd, readable: true, writable: false });
    pipe.setEncoding('latin1');
    pipe.on('error', () => {});
    pipe.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = (lines.pop() ?? '').slice(-longestLine);
      for (const request of lines.flatMap(requestIn)) answering = answering.then(async () => answer(request));
    });
    return {
      [Symbol.asyncDispose]: async () => {
        pipe.destroy();
        await answering;
      },
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function requestIn(line: string): WalRequest[] {
  const [, name, asker] = /^([\w.]{1,64}) (\d{1,10})$/.exec(line) ?? [];
  return name === undefined || asker === undefined ? [] : [{ name, asker }];
}
