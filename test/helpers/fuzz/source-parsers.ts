/** Parsers of what servers and programs give: RDB, tars, catalogs, archives, log, lists of files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CatalogEntry, encodeCatalogLine, readCatalog } from '../../../src/source/files/catalog.ts';
import type { TarMember } from '../../../src/source/files/member.ts';
import { decodeTarHeader, encodeTarHeader } from '../../../src/source/files/tar-header.ts';
import { checkManifest } from '../../../src/source/postgres/base/manifest.ts';
import { readTar } from '../../../src/source/postgres/base/tar.ts';
import { readToc } from '../../../src/source/postgres/restore/toc.ts';
import { parseHistory } from '../../../src/source/postgres/wal/history.ts';
import { createdTablespaces, restorePointsIn, withoutPageHeaders } from '../../../src/source/postgres/wal/records.ts';
import { readSegmentHeader } from '../../../src/source/postgres/wal/segment-header.ts';
import { Crc64 } from '../../../src/source/redis/rdb/crc64.ts';
import { summarizeRdb } from '../../../src/source/redis/rdb/summary.ts';
import { auxOf, databaseOf, headerOf, keyOf } from '../../../src/source/redis/rdb/writer.ts';
import { drain, streamed, type Parser } from './run.ts';

const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);

function rdbSample(): Buffer {
  const library = Buffer.concat([Buffer.from([245]), text('#!lua name=lib\nx')]);
  return Buffer.concat([
    headerOf(11),
    auxOf('redis-ver', '7.0.0'),
    library,
    databaseOf(0, 4, 1),
    keyOf(Buffer.from('string'), 0, 1_700_000_000_000),
    text('value'),
    keyOf(Buffer.from('packed'), 0, undefined),
    Buffer.from([0xc3, 2, 3, 1, 97]),
    keyOf(Buffer.from('list'), 18, undefined),
    Buffer.from([1, 2]),
    text('lp'),
    keyOf(Buffer.from('module'), 7, undefined),
    Buffer.from([0x81, 1, 2, 3, 4, 5, 6, 7, 8, 1, 7, 2, 64, 200, 3, 0, 0, 0, 0, 0]),
    keyOf(Buffer.from('stream'), 15, undefined),
    Buffer.from([1]),
    text('0123456789abcdef'),
    text('lp'),
    Buffer.from([1, 5, 6, 0]),
    Buffer.from([243, 1, 65, 66, 67, 68, 2, 7, 0]),
    keyOf(Buffer.from('numbered'), 27, undefined),
    Buffer.from([0, 1, 5, 6, 1, 1, 0, 0, 3, 0, 10, 20, 1]),
    text('producer'),
    Buffer.from([1]),
    text('first'),
    Buffer.from([5, 6, 1, 0]),
    keyOf(Buffer.from('array'), 28, undefined),
    Buffer.from([2, 1, 5, 0, 0]),
    text('text'),
    Buffer.from([64, 200, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
    Buffer.from([255]),
  ]);
}

const member: TarMember = {
  path: Buffer.from(`srv/${'deep/'.repeat(30)}ü`),
  type: 'file',
  mode: 0o644,
  uid: 4_294_967_294,
  gid: 0,
  user: 'root',
  group: 'ü',
  size: 3,
  mtimeNs: 1_700_000_000_123_456_789n,
};
const link: TarMember = { ...member, type: 'symlink', path: Buffer.from('l'), size: 0, link: Buffer.from('to') };

function catalogSample(): Buffer {
  const rest = {
    sha256: 'ab'.repeat(32),
    root: 0,
    link: undefined,
    map: undefined,
    sparse: true,
    changed: false,
    device: undefined,
  };
  const entry: CatalogEntry = { ...member, ...rest, headerBytes: encodeTarHeader(member).length };
  const device: CatalogEntry = { ...entry, type: 'char', size: 0, sha256: undefined, device: { major: 1, minor: 3 } };
  return Buffer.from([entry, device, { ...entry, path: Buffer.from([0xff]) }].map(encodeCatalogLine).join(''));
}

function baseTarSample(): Buffer {
  const plain = { user: '', group: '', mtimeNs: 0n, uid: 0, gid: 0 };
  const file: TarMember = { ...plain, path: Buffer.from('PG_VERSION'), type: 'file', mode: 0o600, size: 3 };
  const folder: TarMember = { ...plain, path: Buffer.from('base'), type: 'folder', mode: 0o700, size: 0 };
  const content = Buffer.alloc(512);
  content.write('15\n');
  return Buffer.concat([encodeTarHeader(folder), encodeTarHeader(file), content, Buffer.alloc(1024)]);
}

function tocSample(): Buffer {
  const int = (value: number): Buffer => {
    const bytes = Buffer.alloc(5);
    bytes[0] = value < 0 ? 1 : 0;
    bytes.writeUInt32LE(Math.abs(value), 1);
    return bytes;
  };
  const long = (value: string): Buffer => Buffer.concat([int(value.length), Buffer.from(value)]);
  const texts = (...all: readonly string[]): Buffer => Buffer.concat(all.map(long));
  const entry = (dumpId: number): Buffer =>
    Buffer.concat([
      int(dumpId),
      int(1),
      texts('1259', '16384', 'name', 'TABLE DATA'),
      int(3),
      texts('CREATE', 'DROP', 'COPY', 'public', '', 'heap', 'owner', 'false', '7'),
      int(-1),
      Buffer.alloc(9),
    ]);
  return Buffer.concat([
    Buffer.from('PGDMP'),
    Buffer.from([1, 15, 0, 4, 8, 1, 0]),
    ...[0, 0, 0, 1, 0, 100, 0].map(int),
    texts('db', '15.1', '15.1'),
    int(2),
    entry(1),
    entry(2),
    Buffer.from('data'),
  ]);
}

function segmentSample(): Buffer {
  const bytes = Buffer.alloc(16_384);
  bytes.writeUInt16LE(0xd110, 0);
  bytes.writeUInt16LE(2, 2);
  bytes.writeUInt32LE(1, 4);
  bytes.writeBigUInt64LE(7001n, 24);
  bytes.writeUInt32LE(1024 * 1024, 32);
  bytes.writeUInt32LE(24 + 2 + 4 + 6, 40);
  bytes[40 + 17] = 5;
  bytes[40 + 24] = 255;
  bytes[40 + 25] = 10;
  bytes.write('/path', 40 + 30);
  return bytes;
}

const fileList = `{ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-01 00:00:00 GMT",
  "Checksum-Algorithm": "SHA256", "Checksum": "${'ab'.repeat(32)}" },
{ "Encoded-Path": "ff", "Size": 3, "Last-Modified": "2026-01-01 00:00:00 GMT" }
],
"Manifest-Checksum": "${'00'.repeat(32)}"}
`;

/** Parses a file, which lies in the temporary folder for so long. */
async function inFile(input: Buffer, parse: (path: string) => Promise<unknown>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  try {
    writeFileSync(join(folder, 'file'), input);
    await parse(join(folder, 'file'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const sourceParsers: readonly Parser[] = [
  {
    name: 'RDB',
    samples: [rdbSample()],
    dress: (input) => Buffer.concat([input, new Crc64().update(input).digest()]),
    parse: async (input) => summarizeRdb(streamed(input, 100)),
  },
  { name: 'tar header', samples: [encodeTarHeader(member), encodeTarHeader(link)], parse: decodeTarHeader },
  { name: 'file catalog', samples: [catalogSample()], parse: async (input) => drain(readCatalog(streamed(input))) },
  {
    name: 'tar of a base backup',
    samples: [baseTarSample()],
    parse: async (input) => readTar(streamed(input), async () => undefined),
  },
  { name: 'table of contents', samples: [tocSample()], parse: async (input) => readToc(streamed(input, 50)) },
  {
    name: 'segment of log',
    samples: [segmentSample()],
    parse: (input) => {
      readSegmentHeader(input);
      const records = withoutPageHeaders(input);
      createdTablespaces(records);
      restorePointsIn(records, 'path');
    },
  },
  {
    name: 'history of a timeline',
    samples: [Buffer.from('1\t0/3000158\tno recovery target specified\n2\t0/5000158\tx\n')],
    parse: (input) => parseHistory(input.toString(), '00000003.history'),
  },
  {
    name: 'backup_manifest',
    samples: [Buffer.from(fileList)],
    mayRefuse: true,
    parse: async (input) => inFile(input, async (path) => checkManifest(path, new Map())),
  },
];
