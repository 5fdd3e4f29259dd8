/**
 * The thread of inlets.ts: writes what it is given into the pipes of several programs, each in order, and gives the
 * memory back.
 */
import { Socket } from 'node:net';
import { parentPort } from 'node:worker_threads';

/** To the thread: a pipe that is its own from then on, bytes for one, no more bytes for one; or the end of all. */
export type InletJob =
  | { readonly pipe: number; readonly fd: number }
  | { readonly pipe: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly pipe: number; readonly end: true }
  | 'quit';

/** From the thread, for bytes and for an end: taken, or false where nobody reads any more. */
export interface InletAnswer {
  readonly pipe: number;
  readonly taken: boolean;
}

const pipes = new Map<number, Socket>();

parentPort?.on('message', (job: InletJob) => {
  if (job === 'quit') quit();
  else if ('fd' in job) open(job.pipe, job.fd);
  else if ('bytes' in job) write(job.pipe, job.bytes);
  else close(job.pipe);
});

function open(pipe: number, fd: number): void {
  const socket = new Socket({ fd, readable: false, writable: true });
  // Why nobody reads any more (EPIPE) is told by the program's exit code.
  socket.on('error', () => {});
  pipes.set(pipe, socket);
}

function write(pipe: number, bytes: Uint8Array<ArrayBuffer>): void {
  pipes.get(pipe)?.write(bytes, (error) => {
    bytes.buffer.transfer(0);
    answer(pipe, error === null || error === undefined);
  });
}

function close(pipe: number): void {
  const socket = pipes.get(pipe);
  pipes.delete(pipe);
  if (socket === undefined || socket.closed) return answer(pipe, true);
  socket.once('close', () => answer(pipe, true));
  socket.destroySoon();
}

function quit(): void {
  for (const socket of pipes.values()) socket.destroy();
  parentPort?.close();
}

function answer(pipe: number, taken: boolean): void {
  parentPort?.postMessage({ pipe, taken } satisfies InletAnswer);
}
