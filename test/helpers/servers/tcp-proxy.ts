/** Stands before a server of any protocol, and does what bad lines do: cuts, falls silent, is slow. */
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections so far. */
  readonly accepted: number;
  /** Each connection from now on is cut when so many bytes have passed in both directions; undefined: never. */
  cutAfter(bytes: (() => number) | undefined): void;
  /** Nothing passes any more, on any connection, and none ends. */
  silence(isSilent: boolean): void;
  dropAll(): void;
}

export async function startTcpProxy(toPort: number): Promise<TcpProxy> {
  const state: { accepted: number; isSilent: boolean; cut: (() => number) | undefined } = {
    accepted: 0,
    isSilent: false,
    cut: undefined,
  };
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket, count: (bytes: number) => void): void => {
    from.on('data', (bytes: Buffer) => {
      if (state.isSilent) return;
      count(bytes.length);
      if (!to.write(bytes)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('close', () => to.destroy());
  };
  const proxy = createServer((socket) => {
    state.accepted++;
    const behind = connect({ host: '127.0.0.1', port: toPort });
    for (const each of [socket, behind]) {
      sockets.add(each);
      each.on('error', () => {}).on('close', () => sockets.delete(each));
    }
    let left = state.cut?.() ?? Number.POSITIVE_INFINITY;
    const count = (bytes: number): void => {
      left -= bytes;
      if (left > 0) return;
      socket.destroy();
      behind.destroy();
    };
    pass(socket, behind, count);
    pass(behind, socket, count);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const dropAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    get accepted() {
      return state.accepted;
    },
    cutAfter: (bytes) => void (state.cut = bytes),
    silence: (isSilent) => void (state.isSilent = isSilent),
    dropAll,
    [Symbol.asyncDispose]: async () => {
      dropAll();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
