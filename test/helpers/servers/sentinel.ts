/** A Sentinel that watches a server: it speaks Redis' protocol, knows INFO, PING and SCAN's answers of nothing. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, type TestRedis } from './redis.ts';

/** Starts one and waits until it listens. */
export async function startSentinel(watched: TestRedis): Promise<{ readonly url: string } & AsyncDisposable> {
  const dir = mkdtempSync(join(tmpdir(), 'lbtest-sentinel-'));
  const port = await freePort();
  const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${dir}`, `logfile ${join(dir, 'log')}`];
  const file = join(dir, 'sentinel.conf');
  writeFileSync(file, `${[...lines, `sentinel monitor main 127.0.0.1 ${watched.port} 1`].join('\n')}\n`);
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  while (!(await listens(port))) await sleep(20);
  return {
    url: `redis://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
