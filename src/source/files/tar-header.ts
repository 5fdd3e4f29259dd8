/**
 * Headers of the POSIX pax tar format, both ways, on bytes. The `tar` package's Header and Pax take and
 * give strings: a name that is not UTF-8 is mangled, a newline in a name ends its pax record, and times
 * become Dates without nanoseconds. So these are our own, and as plain as the format: GNU tar and
 * bsdtar extract what we write.
 */
import type { EntryType, TarMember } from './member.ts';
import { parsePax, parseTime, paxRecords, readNumber, sparseKeys } from './pax.ts';
import {
  blockBytes,
  checkSum,
  damaged,
  paddingOf,
  readBytes,
  readOctal,
  typeFlagOf,
  writeBlock,
} from './ustar-block.ts';

const typeFlags: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  folder: '5',
};
const paxFlag = 'x';
const empty = Buffer.alloc(0);

/**
 * The header blocks of a member: a pax header (when something does not fit the plain one, so for nearly all times) and
 * the plain one.
 */
export function encodeTarHeader(member: TarMember): Buffer {
  const path = plainName(member);
  const records = paxRecords(member, path);
  const paxBytes = records.length === 0 ? 0 : blockBytes + records.length + paddingOf(records.length);
  const header = Buffer.alloc(paxBytes + blockBytes);
  const seconds = Number(floorSeconds(member.mtimeNs));
  if (paxBytes > 0) {
    const name = Buffer.concat([Buffer.from('PaxHeaders/'), lastBytes(member.path, 80)]);
    writeBlock(header.subarray(0, blockBytes), {
      name,
      typeFlag: paxFlag,
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: records.length,
      seconds,
      link: empty,
      user: '',
      group: '',
      device: undefined,
    });
    records.copy(header, blockBytes);
  }
  const { mode, uid, gid, size, user, group, device } = member;
  const typeFlag = typeFlags[member.type];
  writeBlock(header.subarray(paxBytes), {
    name: path,
    typeFlag,
    mode,
    uid,
    gid,
    size,
    seconds,
    link: member.link ?? empty,
    user,
    group,
    device,
  });
  return header;
}

/**
 * The path in the plain header. That of a file with a map is another one: a reader that does not know maps makes a file
 * that nobody takes for the real one.
 */
function plainName({ path, type, length }: TarMember): Buffer {
  if (type === 'folder') return Buffer.concat([path, Buffer.from('/')]);
  if (length === undefined) return path;
  const name = path.lastIndexOf(0x2f) + 1;
  return Buffer.concat([path.subarray(0, name), Buffer.from('GNUSparseFile.0/'), path.subarray(name)]);
}

/** Reads the header blocks of one member, as encodeTarHeader makes them. Throws (integrity) for anything else. */
export function decodeTarHeader(bytes: Buffer): TarMember {
  let at = 0;
  let pax = new Map<string, Buffer>();
  if (typeFlagOf(bytes, 0) === paxFlag) {
    const size = readOctal(bytes, 124, 12);
    const body = bytes.subarray(blockBytes, blockBytes + size);
    if (body.length !== size) throw damaged('a pax header is cut short');
    checkSum(bytes.subarray(0, blockBytes));
    pax = parsePax(body);
    at = blockBytes + size + paddingOf(size);
  }
  const block = bytes.subarray(at);
  if (block.length !== blockBytes) throw damaged('a header has the wrong length');
  checkSum(block);
  const type = (Object.keys(typeFlags) as EntryType[]).find((name) => typeFlags[name] === typeFlagOf(block, 0));
  if (type === undefined) throw damaged(`member type ${JSON.stringify(typeFlagOf(block, 0))} is unknown`);
  return readMember(block, pax, type);
}

function readMember(block: Buffer, pax: ReadonlyMap<string, Buffer>, type: EntryType): TarMember {
  const prefix = readBytes(block, 345, 155);
  const name = readBytes(block, 0, 100);
  const path =
    pax.get(sparseKeys.name) ??
    pax.get('path') ??
    (prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]));
  const isFolder = type === 'folder' && path.at(-1) === 0x2f;
  const isDevice = type === 'char' || type === 'block';
  const mtime = pax.get('mtime')?.toString('latin1');
  return {
    path: isFolder ? path.subarray(0, -1) : path,
    type,
    mode: readOctal(block, 100, 8),
    uid: readNumber(pax.get('uid')) ?? readOctal(block, 108, 8),
    gid: readNumber(pax.get('gid')) ?? readOctal(block, 116, 8),
    user: (pax.get('uname') ?? readBytes(block, 265, 32)).toString('utf8'),
    group: (pax.get('gname') ?? readBytes(block, 297, 32)).toString('utf8'),
    size: readNumber(pax.get('size')) ?? readOctal(block, 124, 12),
    mtimeNs: mtime === undefined ? BigInt(readOctal(block, 136, 12)) * 1_000_000_000n : parseTime(mtime),
    ...(type === 'symlink' || type === 'hardlink' ? { link: pax.get('linkpath') ?? readBytes(block, 157, 100) } : {}),
    ...readSparse(pax),
    ...(isDevice ? { device: { major: readOctal(block, 329, 8), minor: readOctal(block, 337, 8) } } : {}),
  };
}

/** Length of a file with a map, in the one format of them that we write. */
function readSparse(pax: ReadonlyMap<string, Buffer>): { length?: number } {
  const length = readNumber(pax.get(sparseKeys.length));
  if (length === undefined) return {};
  const version = [pax.get(sparseKeys.major), pax.get(sparseKeys.minor)].join('.');
  if (version !== '1.0' || !pax.has(sparseKeys.name)) throw damaged('a file with holes is in an unknown format');
  return { length };
}

/** At most the last `count` bytes: a pax header's own name is for people only. */
function lastBytes(path: Buffer, count: number): Buffer {
  return path.subarray(Math.max(0, path.length - count));
}

function floorSeconds(ns: bigint): bigint {
  return ns >= 0n ? ns / 1_000_000_000n : -((-ns + 999_999_999n) / 1_000_000_000n);
}
