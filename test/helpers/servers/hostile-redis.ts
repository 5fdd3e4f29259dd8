/**
 * A server that means harm to whoever takes it for Redis: polite until it is asked for one thing, and then it answers
 * with what an attack is made of. It is no stand-in for Redis: nothing that works is shown with it.
 */
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes as they are sent; after the last the connection stays open, unless `close` is there. */
export type Attack = () => AsyncGenerator<Uint8Array | 'close'>;

export interface HostileRedis extends AsyncDisposable {
  readonly url: string;
  /** From now on: what is asked for (its first word), and what comes then; a text comes each time. */
  attack(on: string, attack: Attack | string): void;
}

const info = [
  '# Server',
  'redis_version:7.0.15',
  'redis_mode:standalone',
  'arch_bits:64',
  'run_id:0123456789012345678901234567890123456789',
  'used_memory:1000000',
  'used_memory_dataset:1000000',
  'role:master',
  'connected_slaves:0',
  'master_replid:0123456789012345678901234567890123456789',
  'master_repl_offset:0',
  'cluster_enabled:0',
  'loading:0',
  'aof_enabled:0',
  'rdb_bgsave_in_progress:0',
  'rdb_last_bgsave_status:ok',
  'db0:keys=1,expires=0',
  '',
].join('\r\n');

const polite: Readonly<Record<string, string>> = {
  PING: '+PONG\r\n',
  AUTH: '+OK\r\n',
  CLIENT: '+OK\r\n',
  SELECT: '+OK\r\n',
  REPLCONF: '+OK\r\n',
  TIME: '*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n',
  INFO: `$${info.length}\r\n${info}\r\n`,
  SCAN: '*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n',
  MULTI: '+OK\r\n',
  PEXPIRETIME: '+QUEUED\r\n',
  DUMP: '+QUEUED\r\n',
};

/** Starts one on a free port of 127.0.0.1. */
export async function startHostileRedis(): Promise<HostileRedis> {
  let [wanted, what]: [string, Attack | string] = ['', ''];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    let rest = '';
    let attacked = false;
    socket.setEncoding('latin1').on('data', (text: string) => {
      rest = `${rest}${text}`.slice(-1_000_000);
      for (let words = nextCommand(); words !== undefined && !attacked; words = nextCommand()) {
        const command = (words[0] ?? '').toUpperCase();
        if (command !== wanted) socket.write(polite[command] ?? `-ERR unknown command '${command}'\r\n`);
        else if (typeof what === 'string') socket.write(what);
        else {
          attacked = true;
          void send(socket, what);
        }
      }
    });
    const nextCommand = (): string[] | undefined => {
      const inline = /^(\w+)\r\n/.exec(rest);
      if (inline !== null) {
        rest = rest.slice(inline[0].length);
        return [inline[1] ?? ''];
      }
      const head = /^\*(\d+)\r\n/.exec(rest);
      if (head === null) return undefined;
      let at = head[0].length;
      const words: string[] = [];
      for (let n = Number(head[1]); n > 0; n--) {
        const length = /^\$(\d+)\r\n/.exec(rest.slice(at, at + 20));
        if (length === null) return undefined;
        const start = at + length[0].length;
        words.push(rest.slice(start, start + Number(length[1])));
        at = start + Number(length[1]) + 2;
        if (at > rest.length) return undefined;
      }
      rest = rest.slice(at);
      return words;
    };
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `redis://127.0.0.1:${address.port}`,
    attack: (on, attack) => void ([wanted, what] = [on, attack]),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function send(socket: Socket, attack: Attack): Promise<void> {
  for await (const bytes of attack()) {
    if (socket.destroyed) return;
    if (bytes === 'close') socket.destroy();
    else if (!socket.write(bytes)) await drained(socket);
  }
}

async function drained(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

/** `head` once, then `piece` without end. */
export function endless(head: string, piece: string): Attack {
  const many = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)), 'latin1');
  return async function* () {
    yield Buffer.from(head, 'latin1');
    for (;;) yield many;
  };
}

/** All of it at once; then silence, or the end. */
export function once(text: string, ...then: readonly 'close'[]): Attack {
  return async function* () {
    yield Buffer.from(text, 'latin1');
    yield* then;
  };
}

/** A byte now and then, without end. */
export function trickle(head: string, byte: string): Attack {
  return async function* () {
    yield Buffer.from(head, 'latin1');
    for (;;) {
      await sleep(50);
      yield Buffer.from(byte, 'latin1');
    }
  };
}
