/**
 * The data that the quickstart protects: a small shop (PostgreSQL), its sessions and caches (Redis) and
 * the pictures that its users have uploaded; and one ordinary day, which changes a per cent of it.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, type Stage } from './stage.ts';
import type { Server } from './servers.ts';

export interface Shop {
  readonly postgres: Server;
  readonly redis: Server;
  /** Folder of the uploads. */
  readonly uploads: string;
  /** How many it has. */
  readonly orders: number;
}

const keys = 20_000;
const files = 500;

const schema = `
CREATE TYPE status AS ENUM ('new', 'paid', 'shipped');
CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, email text UNIQUE NOT NULL, joined date NOT NULL);
CREATE TABLE "order" (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer int NOT NULL REFERENCES customer,
  placed timestamptz NOT NULL,
  status status NOT NULL,
  total numeric(10,2) NOT NULL,
  lines jsonb NOT NULL
);
CREATE INDEX ON "order" (customer, placed DESC);
CREATE VIEW open_orders AS SELECT * FROM "order" WHERE status <> 'shipped';
COMMENT ON TABLE "order" IS 'what was bought, and by whom';
`;

function ordersFrom(first: number, last: number): string {
  return `INSERT INTO "order" (customer, placed, status, total, lines)
SELECT 1 + n % 20000, timestamptz '2026-01-01' + n * interval '1 minute', 'paid', (n % 9973) / 10.0,
  jsonb_build_array(
    jsonb_build_object('sku', md5(n::text), 'count', n % 5, 'price', n % 997),
    jsonb_build_object(
      'sku', md5((n * 7)::text), 'count', 1, 'gift', n % 3 = 0, 'wrapped in', 'paper with stars'))
FROM generate_series(${first}, ${last}) n;`;
}

/** Creates all of it. */
export async function fill(stage: Stage, { postgres, redis, uploads, orders }: Shop): Promise<void> {
  await psql(stage, postgres, 'postgres', 'CREATE DATABASE shop;');
  const customers =
    "INSERT INTO customer SELECT n, 'Customer ' || n, 'customer' || n || '@example.com', date '2020-01-01' + n % " +
    '2000 FROM generate_series(1, 20000) n;';
  await psql(stage, postgres, 'shop', `${schema}${customers}${ordersFrom(1, orders)}ANALYZE;`);
  const script =
    `for n = 1, ${keys} do local key = 'session:' .. n; redis.call('HSET', key, 'user', n, 'cart', n % 7) if n % 2 ` +
    "== 0 then redis.call('EXPIRE', key, 86400) end end redis.call('ZADD', 'bestsellers', 10, 'boat', 20, 'oar') " +
    "redis.call('XADD', 'events', '*', 'type', 'opened')";
  await redisCli(stage, redis, ['EVAL', script, '0']);
  for (let n = 0; n < files; n++) {
    const folder = join(uploads, `2026-${String(1 + Math.floor((n * 10) / files)).padStart(2, '0')}`);
    mkdirSync(folder, { recursive: true });
    upload(join(folder, `picture ${n}.jpg`), 20_000 + ((n * 7919) % 140_000), n);
  }
  symlinkSync('2026-10', join(uploads, 'newest'));
  mkdirSync(join(uploads, 'empty folder'));
}

/** One day: one per cent of the orders is shipped, one per cent comes in, and so on. */
export async function liveOneDay(stage: Stage, { postgres, redis, uploads, orders }: Shop): Promise<void> {
  const hundredth = orders / 100;
  await psql(
    stage,
    postgres,
    'shop',
    `UPDATE "order" SET status = 'shipped' WHERE id > ` +
      `${orders - hundredth};${ordersFrom(orders + 1, orders + hundredth)}`,
  );
  await redisCli(stage, redis, [
    'EVAL',
    `for n = 1, ${keys / 100} do redis.call('HSET', 'session:' .. n, 'cart', 9) end`,
    '0',
  ]);
  for (let n = files; n < files + 5; n++) upload(join(uploads, '2026-10', `picture ${n}.jpg`), 80_000, n);
}

/** Pictures do not compress, and most are readable by everyone. */
function upload(path: string, sizeBytes: number, n: number): void {
  writeFileSync(path, randomBytes(sizeBytes));
  chmodSync(path, n % 10 === 0 ? 0o600 : 0o644);
  const at = new Date(Date.UTC(2026, 0, 1) + n * 3_600_000);
  utimesSync(path, at, at);
}

/** Runs SQL; returns unaligned rows, columns separated by `|`. */
export async function psql(stage: Stage, { binFolder, env }: Server, database: string, sql: string): Promise<string> {
  return run(stage, join(binFolder, 'psql'), ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database], {
    env,
    input: sql,
  });
}

/** Runs one Redis command and returns its answer. */
export async function redisCli(stage: Stage, { env }: Server, words: readonly string[]): Promise<string> {
  return (await run(stage, 'redis-cli', ['-p', env['REDIS_PORT'] ?? '', '-e', ...words], { env })).trim();
}
