/** Parsers of what a Redis server and its address give. */
import { createServer, type Server } from 'node:net';
import { Secret } from '../../../src/lib/secret.ts';
import { connectRedis } from '../../../src/source/redis/connection.ts';
import { parseRedisUrl } from '../../../src/source/redis/endpoint.ts';
import { lzfDecompress } from '../../../src/source/redis/rdb/lzf.ts';
import { readInfo, readKeyspace } from '../../../src/source/redis/server-info.ts';
import type { Parser } from './run.ts';

const urls = ['redis://user:p%40ss@[::1]:6379/3?ssl_cert_reqs=none', 'rediss://h/0', 'unix://:pw@/run/redis.sock?db=2'];

const info = '# Server\r\nredis_version:7.0.15\r\ndb0:keys=1,expires=0\r\n';
const answers = [
  `$${info.length}\r\n${info}\r\n`,
  '*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$-1\r\n',
  '*3\r\n:1\r\n+OK\r\n*1\r\n*0\r\n',
];

let sent: Buffer = Buffer.alloc(0);
let server: Promise<Server> | undefined;

/** Answers the greeting, then everything by what is to be sent; the process may end meanwhile. */
function answering(): Promise<Server> {
  return new Promise((resolve) => {
    const made = createServer((socket) => {
      let commands = 0;
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        for (const _ of bytes.toString('latin1').matchAll(/^\*\d+\r$/gm)) {
          commands++;
          if (commands === 1) socket.write('+PONG\r\n');
          else if (commands === 3) socket.end(sent);
          else if (commands === 2) socket.write('+OK\r\n');
        }
      });
    });
    made.listen(0, '127.0.0.1', () => resolve(made)).unref();
  });
}

async function ask(input: Buffer): Promise<void> {
  sent = input;
  const address = (await (server ??= answering())).address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  await using connection = await connectRedis(parseRedisUrl({ url: new Secret(`redis://127.0.0.1:${address.port}`) }));
  await connection.call('ANYTHING');
}

export const redisParsers: readonly Parser[] = [
  {
    name: 'Redis URL',
    samples: urls.map((url) => Buffer.from(url)),
    parse: (input) => parseRedisUrl({ url: new Secret(input.toString()) }),
  },
  {
    name: 'compressed string of Redis',
    samples: [Buffer.from([5, ...Buffer.from('abcdef'), 0x20, 5, 0xe0, 90, 8, 0, 97])],
    mayRefuse: true,
    parse: (input) => lzfDecompress(input, (input[0] ?? 0) * 50),
  },
  { name: 'answer of Redis', samples: answers.map((text) => Buffer.from(text)), parse: ask },
  {
    name: 'INFO of Redis',
    samples: [Buffer.from(info)],
    parse: async (input) => {
      const connection = { endpoint: { text: 'x' }, call: async () => input.toString() };
      await readInfo(connection as never, 'server');
      await readKeyspace(connection as never);
    },
  },
];
