/**
 * Plain pg_dump texts of any size made comparable: run as a program it starts pg_dump itself and prints
 * its text, with the rows of each COPY block replaced by their count and the sum of their hashes (their
 * order may differ), columns of inheritance children sorted (pg_dump itself moves them) and setval lines
 * left out (sequences do not follow a snapshot). Memory is bounded by the longest row.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runTool } from '../../../src/lib/exec.ts';
import type { TestPostgres } from '../servers/postgres.ts';

/** The comparable text of a database, made in a process of its own. */
export async function dumpDigest(
  server: TestPostgres,
  database: string,
  args: readonly string[] = [],
): Promise<string> {
  const { stdout } = await runTool({
    file: process.execPath,
    args: [import.meta.filename, join(server.binDir, 'pg_dump'), ...args, '-d', database],
    env: { ...server.env, PGCLIENTENCODING: 'UTF8' },
  });
  return stdout;
}

class Digest {
  readonly #lines: string[] = [];
  readonly #children = new Set<string>();
  #table: string[] | undefined;
  #copy: { readonly order: readonly number[] | undefined; rows: number; low: number; high: number } | undefined;

  line(bytes: Buffer): void {
    if (this.#copy !== undefined) return this.#row(bytes);
    const text = bytes.toString('utf8');
    if (/^SELECT pg_catalog\.setval\(|^\\(un)?restrict |^-- (Started|Completed) on/.test(text)) return;
    if (this.#table !== undefined) return this.#definition(text);
    if (/^CREATE (UNLOGGED |FOREIGN )?TABLE .* \($/.test(text)) this.#table = [];
    const copy = /^COPY (.*) \((.*)\) FROM stdin;$/.exec(text) ?? /^COPY (.*) () FROM stdin;$/.exec(text);
    if (copy === null) return void this.#lines.push(text);
    const [, table = '', list = ''] = copy;
    const columns = list.split(', ');
    const sorted = this.#children.has(table);
    const order = sorted
      ? columns.map((_, i) => i).sort((a, b) => ((columns[a] ?? '') < (columns[b] ?? '') ? -1 : 1))
      : undefined;
    this.#lines.push(`COPY ${table} (${(sorted ? columns.sort() : columns).join(', ')})`);
    this.#copy = { order, rows: 0, low: 0, high: 0 };
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  /** Lines of a table's definition up to its end, which tells whether it inherits. */
  #definition(text: string): void {
    const lines = this.#table ?? [];
    // INHERITS stands on the line after the closing parenthesis.
    if (!text.startsWith('INHERITS (') && !text.endsWith(';')) return void lines.push(text);
    const inherits = text.startsWith('INHERITS (');
    if (inherits) this.#children.add(/TABLE (.*) \($/.exec(this.#lines.at(-1) ?? '')?.[1] ?? '');
    this.#lines.push(...(inherits ? lines.map((line) => line.replace(/,$/, '')).sort() : lines), text);
    this.#table = undefined;
  }

  #row(bytes: Buffer): void {
    const copy = this.#copy;
    if (copy === undefined) return;
    if (bytes.length === 2 && bytes[0] === 0x5c && bytes[1] === 0x2e) {
      this.#lines.push(`-- ${copy.rows} rows, ${copy.high.toString(16)} ${copy.low.toString(16)}`);
      this.#copy = undefined;
      return;
    }
    const row = copy.order === undefined ? bytes : reordered(bytes, copy.order);
    // Two FNV-1a hashes of different bases and primes, each then mixed, summed modulo 2^32.
    let low = 0x811c9dc5;
    let high = 0x9747b28c;
    for (let i = 0; i < row.length; i++) {
      const byte = row[i] as number;
      low = Math.imul(low ^ byte, 0x01000193);
      high = Math.imul(high ^ byte, 0x5bd1e995) ^ (high >>> 15);
    }
    copy.rows++;
    copy.low = (copy.low + mixed(low)) >>> 0;
    copy.high = (copy.high + mixed(high)) >>> 0;
  }
}

function reordered(row: Buffer, order: readonly number[]): Buffer {
  const fields = row.toString('latin1').split('\t');
  return Buffer.from(order.map((i) => fields[i]).join('\t'), 'latin1');
}

/** So that sums of similar rows' hashes do not cancel out. */
function mixed(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

async function main([file = '', ...args]: readonly string[]): Promise<number> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number>((resolve, reject) =>
    child.once('error', reject).once('close', (code) => resolve(code ?? 1)),
  );
  const digest = new Digest();
  let rest = Buffer.alloc(0);
  await pipeline(child.stdout, async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        const line = chunk.subarray(from, end);
        digest.line(rest.length === 0 ? line : Buffer.concat([rest, line]));
        rest = Buffer.alloc(0);
        from = end + 1;
      }
      if (from < chunk.length) rest = Buffer.concat([rest, chunk.subarray(from)]);
    }
  });
  const code = await ended;
  if (code === 0) await new Promise((resolve) => process.stdout.write(digest.text(), resolve));
  return code;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main(process.argv.slice(2));
