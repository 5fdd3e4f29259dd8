/**
 * Stands before a real Redis and passes on what is said, but cuts connections that ask for a snapshot: the first ones,
 * or all. What a flaky network or a proxy between does.
 */
import { connect, createServer, type Socket } from 'node:net';
import type { TestRedis } from './redis.ts';

export interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** How many connections have asked for a snapshot. */
  readonly asked: number;
}

/** Starts one on a free port of 127.0.0.1; `cuts`: how many connections are cut where they say SYNC. */
export async function startCuttingProxy(server: TestRedis, cuts: number): Promise<CuttingProxy> {
  let asked = 0;
  const sockets = new Set<Socket>();
  const proxy = createServer((socket) => {
    const behind = connect({ path: server.socket });
    for (const each of [socket, behind]) {
      sockets.add(each);
      each.on('error', () => {}).on('close', () => sockets.delete(each));
    }
    behind.pipe(socket);
    behind.on('close', () => socket.destroy());
    socket.on('close', () => behind.destroy());
    socket.on('data', (bytes: Buffer) => {
      if (/\bSYNC\r\n/.test(bytes.toString('latin1')) && ++asked <= cuts) socket.destroy();
      else behind.write(bytes);
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: server.url().replace(`:${server.port}`, `:${address.port}`),
    get asked() {
      return asked;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
