import { redisSource } from '../../src/source/redis/snapshot.ts';
import { addressOf, digestOf, fillMany, startRedis, type TestRedis } from '../helpers/servers/redis.ts';
import { sourceContract, type SourceCase } from './source-suite.ts';

let server: TestRedis;

const subject: SourceCase = {
  start: async () => {
    server = await startRedis();
    fillMany(server, 50_000);
  },
  stop: async () => server.stop(),
  open: (scratchDir) => redisSource({ ...addressOf(server), method: 'replication', scratchDir }),
  state: async () => `${digestOf(server)} ${server.cli(['CONFIG', 'GET', '*'])} ${server.cli(['LASTSAVE'])}`,
  // Our own question is one.
  held: async () =>
    server
      .cli(['CLIENT', 'LIST'])
      .split('\n')
      .filter((line) => line !== '' && !line.includes('cmd=client|list'))
      .join(),
  // The server, when it is asked for the snapshot.
  dying: async (scratchDir) => ({
    source: subject.open(scratchDir),
    strike: () => {
      try {
        process.kill(server.pid, 'SIGKILL');
      } catch {
        // It is dead already.
      }
    },
    end: async () => {
      server = await server.restart();
      fillMany(server, 50_000);
    },
  }),
};

sourceContract('Redis', subject);
