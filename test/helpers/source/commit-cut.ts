/** A TCP proxy in front of a PostgreSQL server that loses connections at COMMIT. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * `unanswered`: the server commits, and its answer is lost. `unsent`: COMMIT never reaches the server, which sees the
 * connection go. `stuck`: the same, but the server does not see it. `unanswered-for-good`: as `unanswered`, and nothing
 * connects any more.
 */
export type CommitCut = 'unanswered' | 'unsent' | 'stuck' | 'unanswered-for-good';

export interface CommitProxy extends AsyncDisposable {
  readonly port: number;
  /** The next COMMIT suffers it. */
  cut(how: CommitCut): void;
  /** Cuts that have happened. */
  readonly cuts: () => number;
}

const commit = Buffer.from('COMMIT\0');

/** `port`: of a server on 127.0.0.1 without TLS. */
export async function startCommitProxy(port: number): Promise<CommitProxy> {
  let next: CommitCut | undefined;
  let isClosed = false;
  let cuts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (isClosed) return void client.destroy();
    const upstream = connect(port, '127.0.0.1');
    let isWaiting = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    client.on('close', () => how !== 'stuck' && upstream.destroy());
    upstream.on('close', () => client.destroy());
    let how: CommitCut | undefined;
    client.on('data', (chunk) => {
      if (next !== undefined && chunk[0] === 0x51 && chunk.subarray(5).equals(commit)) {
        [how, next] = [next, undefined];
        cuts++;
        if (how === 'unsent' || how === 'stuck') return void client.destroy();
        isWaiting = true;
        isClosed = how === 'unanswered-for-good';
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (isWaiting) client.destroy();
      else client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cut: (how) => {
      next = how;
    },
    cuts: () => cuts,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
