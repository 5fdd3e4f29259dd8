/**
 * Sample trees with everything that file systems hold, and an exact look at a tree: by GNU find, so that
 * the product's own walk is not what judges it.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

/** What a path is; all numbers as decimal text. */
export interface TreeEntry {
  readonly type: string;
  readonly mode: string;
  readonly owner: string;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  readonly size: string;
  readonly link: string;
  /** Paths (latin1) of all names of the same file in the tree, sorted; empty when it has one. */
  readonly names: readonly string[];
  readonly hasHoles: boolean;
  /** SHA-256 of a file's content. */
  readonly content: string;
}

/** Reads a tree, without its top; keys are paths below it as latin1 text (one character a byte). */
export function readTree(top: string): Map<string, TreeEntry> {
  const fields = '%P\\0%y\\0%m\\0%U:%G\\0%T@\\0%s\\0%l\\0%D:%i\\0%n\\0%b\\0';
  const out = execFileSync('find', ['.', '-mindepth', '1', '-printf', fields], {
    cwd: top,
    maxBuffer: 1 << 30,
    env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '' },
  }).toString('latin1');
  const values = out.split('\0');
  const rows: string[][] = [];
  for (let at = 0; at + 10 <= values.length; at += 10) rows.push(values.slice(at, at + 10));
  const groups = Map.groupBy(rows, (row) => row[7] ?? '');
  return new Map(
    rows.map((row) => {
      const [
        path = '',
        type = '',
        mode = '',
        owner = '',
        time = '',
        size = '',
        link = '',
        inode = '',
        names = '',
        blocks = '',
      ] = row;
      const isFile = type === 'f';
      return [
        path,
        {
          type,
          mode,
          owner,
          mtimeNs: timeNs(time),
          size: isFile || type === 'l' ? size : '',
          link,
          names: isFile && names !== '1' ? (groups.get(inode) ?? []).map((other) => other[0] ?? '').sort() : [],
          hasHoles: isFile && Number(blocks) * 512 < Number(size),
          content: isFile ? contentHash(top, path) : '',
        },
      ];
    }),
  );
}

/** Differences between two trees, in words; empty when they are equal. Times may differ by `mtimeToleranceNs`. */
export function compareTrees(
  expected: ReadonlyMap<string, TreeEntry>,
  actual: ReadonlyMap<string, TreeEntry>,
  options: { mtimeToleranceNs?: bigint; ignore?: readonly (keyof TreeEntry)[] } = {},
): string[] {
  const differences: string[] = [];
  for (const [path, want] of expected) {
    const have = actual.get(path);
    if (have === undefined) {
      differences.push(`${JSON.stringify(path)} is missing`);
      continue;
    }
    for (const key of Object.keys(want) as (keyof TreeEntry)[]) {
      if (options.ignore?.includes(key)) continue;
      const apart = want.mtimeNs - have.mtimeNs;
      if (key === 'mtimeNs' && (apart < 0n ? -apart : apart) <= (options.mtimeToleranceNs ?? 0n)) continue;
      if (String(want[key]) !== String(have[key])) {
        differences.push(`${JSON.stringify(path)}: ${key} is ${String(have[key])}, not ${String(want[key])}`);
      }
    }
  }
  for (const path of actual.keys()) if (!expected.has(path)) differences.push(`${JSON.stringify(path)} is too much`);
  return differences;
}

/**
 * Makes a tree of about 30 entries under `top`: odd names, names of 255 bytes, long paths, empty files and
 * folders, symlinks (broken, absolute, outward), hard links across folders, holes, setuid, sticky,
 * foreign owners, times with nanoseconds and before 1970. As root only.
 */
export function makeSampleTree(top: string): void {
  const path = (name: string | Buffer): Buffer => Buffer.concat([Buffer.from(`${top}/`), Buffer.from(name)]);
  const file = (name: string | Buffer, content: string | Uint8Array, mode = 0o644): void => {
    writeFileSync(path(name), content);
    chmodSync(path(name), mode);
  };
  const long = 'n'.repeat(255);
  for (const name of ['', 'a', 'a/b', 'empty', 'a.b', 'ünïcode', long, `${long}/${long}`, 'many', 'closed', 'sticky']) {
    mkdirSync(path(name), { recursive: true });
  }
  file('a/plain.txt', 'plain\n');
  file('a/b/nothing', '');
  file('a.b/after', 'in tree order a/… comes before a.b\n');
  file('a/new\nline', 'newline');
  file('a/ tab\tand "quotes" \\ = % ', 'odd');
  file('-rf', 'dash');
  file(Buffer.from([0x66, 0xff, 0xfe, 0x80]), 'not UTF-8');
  file(Buffer.concat([Buffer.from(`${long}/`), Buffer.alloc(150, 0xe9)]), 'long and not UTF-8');
  file('ünïcode/жук.txt', 'utf-8');
  file(`${long}/${long}/${'f'.repeat(255)}`, 'long path');
  file(`a/${'m'.repeat(150)}`, 'over a hundred bytes');
  file('a/block', Buffer.alloc(512, 1));
  file('a/blocks', Buffer.alloc(1_300_000, 'lifeboat '));
  file('a/setuid', '#!/bin/true\n', 0o4755);
  file('a/setgid', '#!/bin/true\n', 0o2711);
  file('closed/secret', 'secret', 0o000);
  for (let index = 0; index < 60; index++) file(`many/${index}`, `small file ${index}\n`.repeat(index));
  symlinkSync('../a/plain.txt', path('a/link'));
  symlinkSync('/nowhere/at/all', path('broken'));
  symlinkSync(Buffer.from([0xff, 0x2f, 0xfe]), path('odd-link'));
  symlinkSync('t'.repeat(300), path('long-link'));
  symlinkSync('a', path('folder-link'));
  file('a/b/one', 'one content, three names');
  linkSync(path('a/b/one'), path('a/two'));
  linkSync(path('a/b/one'), path('many/three'));
  const sparse = openSync(path('holes'), 'w');
  writeSync(sparse, 'begin', 0);
  writeSync(sparse, 'middle', 5_000_000);
  ftruncateSync(sparse, 20_000_000);
  closeSync(sparse);
  chownSync(path('a/plain.txt'), 33, 4_000_000);
  chownSync(path('a/b'), 65534, 65534);
  lchownSync(path('broken'), 65534, 33);
  chownSync(path('a/setuid'), 65534, 65534);
  chmodSync(path('a/setuid'), 0o4755);
  chmodSync(path('closed'), 0o500);
  chmodSync(path('sticky'), 0o1777);
  const touch = (time: string, ...names: string[]): Buffer =>
    execFileSync('touch', ['-h', '-d', time, '--', ...names.map((name) => `${top}/${name}`)]);
  touch('@1700000000.123456789', 'a/plain.txt', 'a/b', 'many/7');
  touch('@1600000000', 'a/block', 'empty');
  touch('@-86400.5', 'a/b/nothing');
  touch('@5000000000.000000001', '-rf', 'folder-link');
}

/**
 * Forty folders of 200-byte names in one another, and the file `bottom` in the last: its path is twice as long as a
 * path may be.
 */
export function makeDeepTree(top: string): void {
  const script =
    "const fs = require('fs'); for (let i = 0; i < 40; i++) { fs.mkdirSync('d'.repeat(200)); " +
    "process.chdir('d'.repeat(200)); } fs.writeFileSync('bottom', 'deep');";
  execFileSync(process.execPath, ['-e', script], { cwd: top });
}

function contentHash(top: string, path: string): string {
  const bytes = Buffer.concat([Buffer.from(`${top}/`), Buffer.from(path, 'latin1')]);
  return createHash('sha256').update(readFileSync(bytes)).digest('hex');
}

function timeNs(text: string): bigint {
  const [seconds = '0', fraction = ''] = text.split('.');
  const ns = BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  // Before 1970 find prints whole seconds rounded down, and what is to be added to them.
  return BigInt(seconds) * 1_000_000_000n + ns;
}
