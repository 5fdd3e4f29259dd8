#!/usr/bin/env node
/*
 * Gets everything back from a lifeboat repository without lifeboat. One file, nothing but Node.js 18 or
 * newer (22.15 or newer where backups are compressed with zstd). It shares no code with the program and
 * follows man lifeboat-repository(7) only, so it is also a second opinion on what that page says.
 *
 *   node rescue.mjs list    [options] <repository folder>
 *   node rescue.mjs extract [options] <repository folder> <backup id> <empty folder>
 *   node rescue.mjs extract [options] <repository folder> wal <empty folder>
 *
 *   --key-file FILE   the key, passphrase or age identity; else BACKUP_ENCRYPTION_KEY,
 *                     BACKUP_ENCRYPTION_PASSPHRASE or BACKUP_ENCRYPTION_IDENTITY (text or a file)
 *   --trust KEY       with an age identity: accept what this public key (base64) signed; may be repeated
 *   --force           extract also what nobody we trust has signed
 *
 * Every byte is checked before it is written. Exit codes: 0 done, 2 usage, 10 not found, 12 wrong or
 * missing key, 14 damaged, 15 disk full, 16 Node too old, 20 a file cannot be read or written.
 */
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';

class Failure extends Error {
  constructor(exitCode, message) {
    super(message);
    this.exitCode = exitCode;
  }
}

const usage = (message) => new Failure(2, message);
const notFound = (message) => new Failure(10, message);
const badKey = (message) => new Failure(12, message);
const damaged = (what, why) => new Failure(14, `${what} is damaged: ${why}`);

// ---------------------------------------------------------------- command line

function main(argv) {
  const { options, words } = parseArguments(argv);
  const [command, root, id, out] = words;
  if (command === 'list' && words.length === 2) return list(openRepository(root, options));
  if (command === 'extract' && words.length === 4) {
    const repository = openRepository(root, options);
    makeEmptyFolder(out);
    return id === 'wal' ? extractWal(repository, out) : extractBackup(repository, id, out);
  }
  throw usage(
    'usage: node rescue.mjs list <repository> | extract <repository> <backup id>|wal <empty folder>   [--key-file ' +
      'FILE] [--trust KEY] [--force]',
  );
}

function parseArguments(argv) {
  const options = { keyFile: undefined, trusted: [], force: false };
  const words = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i];
    if (word === '--force') options.force = true;
    else if (word === '--key-file' || word === '--trust') {
      const value = argv[++i];
      if (value === undefined) throw usage(`${word} needs a value`);
      if (word === '--key-file') options.keyFile = value;
      else {
        options.trusted.push(
          fromBase64(value, 32) ?? fail(usage(`--trust ${value}: no public key (base64 of 32 bytes)`)),
        );
      }
    } else if (word.startsWith('-')) throw usage(`unknown option ${word}`);
    else words.push(word);
  }
  return { options, words };
}

function fail(error) {
  throw error;
}

function makeEmptyFolder(out) {
  fs.mkdirSync(out, { recursive: true, mode: 0o700 });
  if (fs.readdirSync(out).length > 0) throw usage(`${out} is not empty`);
}

// ---------------------------------------------------------------- repository

function openRepository(root, options) {
  const bytes =
    readObject(root, 'repository.json') ?? fail(notFound(`${root} is no repository: it has no repository.json`));
  const info = parseJson(bytes, 'repository.json');
  if (info.format !== 1) throw damaged('repository.json', `format ${info.format} is unknown to this script`);
  if (typeof info.id !== 'string' || (info.encryption !== 'none' && info.encryption !== 'aes-256-gcm')) {
    throw damaged('repository.json', 'it does not describe a repository');
  }
  const encrypted = info.encryption !== 'none';
  const material = readKeyMaterial(options.keyFile);
  // Who can write to the repository must not be able to make us take forgeries for unencrypted backups.
  if (!encrypted && material.count > 0) {
    throw badKey(
      'a key is given, but repository.json says that nothing is encrypted: if that is meant to be, run again ' +
        'without the key',
    );
  }
  return { root, id: info.id, encrypted, material, options, keys: new Map() };
}

function list(repository) {
  const names = readNames(path.join(repository.root, 'manifests'))
    .filter((name) => name.endsWith('.json'))
    .sort();
  if (names.length === 0) print('no backups');
  for (const name of names) {
    const id = name.slice(0, -5);
    try {
      const backup = readManifest(repository, id);
      const sizes = artifactsOf(backup.manifest).reduce((sum, artifact) => sum + artifact.bytes, 0);
      print(
        `${id}  ${sizes} bytes  ${backup.manifest.components.map((each) => each.name).join(', ')}  ` +
          (backup.doubt === undefined ? 'sealed' : `NOT TRUSTED: ${backup.doubt}`) +
          (isFlawed(backup.manifest) ? ', OF A DAMAGED SOURCE (facts.json tells)' : ''),
      );
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      print(`${id}  ${error.exitCode === 12 ? 'not checked' : 'UNUSABLE'}: ${error.message}`);
    }
  }
  if (readNames(path.join(repository.root, 'wal')).length > 0) print('wal  write-ahead log');
}

/** A manifest whose seal holds; `doubt` says why its writer may be somebody else. */
function readManifest(repository, id) {
  if (!/^\d{8}T\d{6}Z-[a-z0-9-]+-[a-z]+-[0-9a-f]{8}$/.test(id)) throw usage(`"${id}" is no backup id`);
  const object = `manifests/${id}.json`;
  const bytes = readObject(repository.root, object) ?? fail(notFound(`there is no backup ${id}`));
  const document = splitDocument(bytes, object);
  const manifest = document.value;
  if (manifest.format !== 1) throw damaged(object, `format ${manifest.format} is unknown to this script`);
  if (manifest.id !== id) throw damaged(object, `it is the manifest of ${manifest.id}`);
  if (manifest.repository !== repository.id) throw damaged(object, 'it belongs to another repository');
  const key = dataKeyOf(repository, manifest.dataKey, id, object);
  const doubt = checkDocument(document, key, 'lifeboat/1/manifest', object, repository.options.trusted);
  checkManifestShape(manifest, object);
  return { manifest, key, doubt };
}

function checkManifestShape(manifest, object) {
  if (!Array.isArray(manifest.components)) throw damaged(object, 'it has no components');
  const names = new Set();
  for (const artifact of artifactsOf(manifest)) {
    if (!/^(?!\.)[A-Za-z0-9._-]{1,100}$/.test(artifact.name) || names.has(artifact.name)) {
      throw damaged(object, `artifact ${artifact.name} has no proper name of its own`);
    }
    names.add(artifact.name);
    if (!Number.isSafeInteger(artifact.bytes) || !Array.isArray(artifact.index) || artifact.index.length === 0) {
      throw damaged(object, `artifact ${artifact.name} is incomplete`);
    }
    artifact.index.forEach((part, k) => {
      if (part.object !== `backups/${manifest.id}/${artifact.name}.${k}.index`) {
        throw damaged(object, `part ${k} of ${artifact.name} is called ${part.object}`);
      }
    });
  }
}

/** Pages of the source were damaged, or tables could not be read. */
function isFlawed({ components }) {
  return components.some(({ flaws }) => flaws !== undefined);
}

function artifactsOf(manifest) {
  return manifest.components.flatMap((component) => (Array.isArray(component.artifacts) ? component.artifacts : []));
}

// ---------------------------------------------------------------- extraction

function extractBackup(repository, id, out) {
  const { manifest, key, doubt } = readManifest(repository, id);
  refuseDoubt(repository, doubt, `backup ${id}`);
  const sums = [];
  for (const artifact of artifactsOf(manifest)) {
    const sha256 = writeWhole(out, artifact.name, (write) =>
      extractArtifact(repository, manifest, key, artifact, write),
    );
    sums.push(`${sha256}  ${artifact.name}\n`);
    print(`${artifact.name}  ${artifact.bytes} bytes`);
  }
  const factsObject = `backups/${id}/facts`;
  const factsBytes = needObject(repository, factsObject);
  if (sha256Hex(factsBytes) !== manifest.factsSha256) throw damaged(factsObject, 'it is not what the manifest says');
  const facts = Buffer.concat([...openBox(factsBytes, 4, factsObject, key)]);
  writeWhole(out, 'facts.json', (write) => write(facts));
  const runbook = (parseJson(facts, factsObject).components ?? []).find(({ kind }) => kind === 'runbook')?.facts?.text;
  if (typeof runbook === 'string') writeWhole(out, 'runbook.md', (write) => write(Buffer.from(runbook)));
  writeWhole(out, 'SHA256SUMS', (write) => write(Buffer.from(sums.join(''))));
  print(`facts.json\n${typeof runbook === 'string' ? 'runbook.md\n' : ''}SHA256SUMS\nall of ${id} is in ${out}`);
}

function extractArtifact(repository, manifest, key, artifact, write) {
  const packs = new PackReader(repository, key);
  let bytes = 0;
  let chunks = 0;
  try {
    for (const part of artifact.index) {
      const stored = needObject(repository, part.object);
      if (stored.length !== part.bytes || sha256Hex(stored) !== part.sha256) {
        throw damaged(part.object, 'it is not what the manifest says');
      }
      for (const chunk of parseIndex(Buffer.concat(openBox(stored, 2, part.object, key)), part)) {
        const plain = packs.read(chunk);
        write(plain);
        bytes += plain.length;
        chunks++;
      }
    }
  } finally {
    packs.close();
  }
  if (bytes !== artifact.bytes || chunks !== artifact.chunks) {
    throw damaged(`backup ${manifest.id}`, `${artifact.name} has ${bytes} bytes, not ${artifact.bytes}`);
  }
}

function* parseIndex(bytes, part) {
  const wrong = damaged(part.object, 'it is no index');
  if (bytes.length < 8) throw wrong;
  const packCount = bytes.readUInt32LE(0);
  let at = 4 + packCount * 80;
  if (at + 4 > bytes.length) throw wrong;
  const chunkCount = bytes.readUInt32LE(at);
  at += 4;
  if (chunkCount > 250_000 || chunkCount !== part.chunks || at + chunkCount * 57 !== bytes.length) throw wrong;
  for (; at < bytes.length; at += 57) {
    const pack = bytes.readUInt32LE(at + 32);
    if (pack >= packCount) throw wrong;
    yield {
      id: bytes.subarray(at, at + 32),
      packId: bytes.toString('hex', 4 + pack * 80, 20 + pack * 80),
      packHeader: bytes.subarray(20 + pack * 80, 84 + pack * 80),
      frame: bytes.readUInt32LE(at + 36),
      offset: Number(bytes.readBigUInt64LE(at + 40)),
      storedLength: bytes.readUInt32LE(at + 48),
      plainLength: bytes.readUInt32LE(at + 52),
      codec: bytes.readUInt8(at + 56),
    };
  }
}

/** Reads chunks out of packs, keeping a few files open. */
class PackReader {
  constructor(repository, key) {
    this.repository = repository;
    this.key = key;
    this.idKey = chunkIdKey(key);
    this.open = new Map();
  }

  read(chunk) {
    const object = `packs/${chunk.packId.slice(0, 2)}/${chunk.packId}.pack`;
    const pack = this.packOf(object, chunk.packHeader);
    if (chunk.storedLength > 17 * 1024 * 1024) throw damaged(object, 'a frame is too large');
    const stored = Buffer.allocUnsafe(chunk.storedLength);
    for (let got = 0; got < stored.length;) {
      const read = fs.readSync(pack.fd, stored, got, stored.length - got, chunk.offset + got);
      if (read === 0) throw damaged(object, 'it is truncated');
      got += read;
    }
    return openFrame(pack.box, chunk.frame, stored, chunk, object, this.idKey);
  }

  packOf(object, header) {
    const known = this.open.get(object);
    if (known !== undefined) {
      if (!known.box.header.equals(header)) throw damaged(object, 'an index gives it two headers');
      return known;
    }
    if (this.open.size >= 16) this.close();
    const box = boxOf(Buffer.from(header), 1, this.key, object);
    let fd;
    try {
      fd = fs.openSync(path.join(this.repository.root, object), 'r');
    } catch (error) {
      throw error.code === 'ENOENT' ? damaged('the repository', `${object} is missing`) : error;
    }
    const pack = { fd, box };
    this.open.set(object, pack);
    return pack;
  }

  close() {
    for (const { fd } of this.open.values()) fs.closeSync(fd);
    this.open.clear();
  }
}

/** All write-ahead log there is, under the names PostgreSQL asks for: <out>/<system identifier>/<name>. */
function extractWal(repository, out) {
  const systems = readNames(path.join(repository.root, 'wal')).filter((name) => /^\d+$/.test(name));
  if (systems.length === 0) throw notFound('the repository holds no write-ahead log');
  for (const system of systems) {
    const folder = path.join(out, system);
    fs.mkdirSync(folder, { mode: 0o700 });
    const objects = walObjects(repository.root, `wal/${system}`);
    for (const { name, object } of chooseWal(objects)) {
      writeWhole(folder, name, (write) => eachFrame(repository, object, write));
    }
    print(`${system}: ${readNames(folder).length} files in ${folder}`);
  }
}

/**
 * The plain frames of a file of log, one after the other. What is large lies in parts, which a box of kind 5 lists;
 * parts of zeros are not stored. Of an unfinished segment what is full lies under the name of the segment.
 */
function eachFrame(repository, object, write) {
  const open = (of, kind) => {
    const bytes = needObject(repository, of);
    const key = dataKeyOf(repository, headerKeyId(bytes, kind, of), undefined, of);
    const { frames, doubt } = openWalBox(bytes, kind, of, key, repository.options.trusted);
    refuseDoubt(repository, doubt, of);
    return frames();
  };
  if (needObject(repository, object)[5] !== 5) return open(object, 3).forEach((frame) => write(frame));
  const list = parseJson(Buffer.concat(open(object, 5)), object);
  const [, stem = object.slice(0, -'.wal'.length), lsn] = /^(.*)\.([0-9A-F]{16})\.partial\.wal$/.exec(object) ?? [];
  const filled = lsn === undefined ? undefined : BigInt(`0x${lsn}`) % BigInt(list.bytes);
  list.sha256.forEach((sum, n) => {
    const zeros = Buffer.alloc(Math.min(list.partBytes, list.bytes - n * list.partBytes));
    if (crypto.createHash('sha256').update(zeros).digest('hex') === sum) return void write(zeros);
    const isFull = filled === undefined || BigInt((n + 1) * list.partBytes) <= filled;
    const name = isFull ? stem : object.slice(0, -'.wal'.length);
    const part = `${name}.part${String(n).padStart(2, '0')}.wal`;
    const content = Buffer.concat(open(part, 3));
    if (crypto.createHash('sha256').update(content).digest('hex') !== sum) {
      throw damaged(part, `it is not the part that ${object} names`);
    }
    write(content);
  });
}

function walObjects(root, prefix) {
  const found = [];
  for (const entry of fs.readdirSync(path.join(root, prefix), { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    const object = `${prefix}/${entry.name}`;
    if (entry.isDirectory()) found.push(...walObjects(root, object));
    else if (entry.name.endsWith('.wal')) found.push({ object, name: entry.name.slice(0, -4) });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Segments, history and backup files as they are. Of unfinished segments (`<segment>.<LSN>.partial`) the
 * one that reaches furthest, and only where the archive of its timeline ends; a `.partial` that a
 * promotion left behind keeps that name, PostgreSQL never asks for it.
 */
function chooseWal(objects) {
  const chosen = objects.filter(({ name }) => !/\.[0-9A-F]{16}\.partial$|\.part\d\d$/.test(name));
  const segments = chosen.map(({ name }) => name).filter((name) => /^[0-9A-F]{24}$/.test(name));
  const unfinished = objects.filter(({ name }) => /^[0-9A-F]{24}\.[0-9A-F]{16}\.partial$/.test(name));
  const ends = new Map();
  for (const each of unfinished) ends.set(each.name.slice(0, 8), each);
  for (const [timeline, last] of ends) {
    const segment = last.name.slice(0, 24);
    if (segments.some((name) => name.startsWith(timeline) && name >= segment)) continue;
    chosen.push({ object: last.object, name: segment });
  }
  return chosen;
}

function refuseDoubt(repository, doubt, what) {
  if (doubt === undefined || repository.options.force) return;
  throw badKey(`${what} is not trusted: ${doubt} (--trust KEY accepts a writer, --force takes it as it is)`);
}

/** Writes a file under a temporary name until all of it is there; returns its SHA-256. */
function writeWhole(folder, name, fill) {
  const target = path.join(folder, name);
  const partial = `${target}.partial`;
  const fd = fs.openSync(partial, 'wx', 0o600);
  const hash = crypto.createHash('sha256');
  try {
    fill((bytes) => {
      hash.update(bytes);
      for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at, bytes.length - at);
    });
    fs.fsyncSync(fd);
  } catch (error) {
    fs.closeSync(fd);
    fs.unlinkSync(partial);
    throw error;
  }
  fs.closeSync(fd);
  if (fs.existsSync(target)) throw usage(`${target} exists already`);
  fs.renameSync(partial, target);
  return hash.digest('hex');
}

// ---------------------------------------------------------------- sealed boxes

/** Checks a header; gives the id of its data key in hex, undefined without encryption. */
function headerKeyId(bytes, kind, object) {
  if (bytes.length < 64 || bytes.toString('latin1', 0, 4) !== 'LFBT') throw damaged(object, 'it is no sealed box');
  if (bytes[4] !== 1 || bytes[5] !== kind || bytes[6] > 1 || bytes[7] !== 0 || bytes.readBigUInt64LE(56) !== 0n) {
    throw damaged(object, 'its header is unknown');
  }
  const id = bytes.toString('hex', 8, 24);
  if (bytes[6] === 1) return id;
  if (!/^0{32}$/.test(id)) throw damaged(object, 'its header names a key that it does not use');
  return undefined;
}

/** A box to open frames with: `key` must be the one its header names. */
function boxOf(header, kind, key, object) {
  if (headerKeyId(header, kind, object) !== key?.id) {
    throw damaged(object, 'it was sealed under another key than its backup');
  }
  return {
    header,
    key: key === undefined ? undefined : hkdf(key.bytes, header.subarray(24, 56), `lifeboat/1/box/${kind}`),
  };
}

function unseal(box, firstWord, n, stored, object) {
  if (stored.length < 16) throw damaged(object, 'a frame is too short');
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(firstWord, 0);
  nonce.writeBigUInt64BE(BigInt(n), 4);
  const body = stored.subarray(0, stored.length - 16);
  const tag = stored.subarray(stored.length - 16);
  if (box.key === undefined) {
    const sum = crypto.createHash('sha256').update(box.header).update(nonce).update(body).digest();
    if (!crypto.timingSafeEqual(sum.subarray(0, 16), tag)) throw damaged(object, `frame ${n} fails its checksum`);
    return body;
  }
  const decipher = crypto.createDecipheriv('aes-256-gcm', box.key, nonce, { authTagLength: 16 });
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt(n));
  decipher.setAAD(Buffer.concat([box.header, number]));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(body), decipher.final()]);
  } catch {
    throw damaged(object, `frame ${n} fails its authentication`);
  }
}

function openFrame(box, n, stored, entry, object, idKey) {
  const plain = decompress(unseal(box, 0, n, stored, object), entry.codec, entry.plainLength, object);
  // Only write-ahead log may lack chunk ids.
  if ((box.header[5] === 3 || box.header[5] === 5) && entry.id.equals(Buffer.alloc(32))) return plain;
  const id =
    idKey === undefined
      ? crypto.createHash('sha256').update(plain).digest()
      : crypto.createHmac('sha256', idKey).update(plain).digest();
  if (!id.equals(entry.id)) throw damaged(object, `frame ${n} holds another chunk than it should`);
  return plain;
}

/** What a box may yield: an index, a segment of log, facts. */
const mostPlainBytes = { 2: 36 * 1024 * 1024, 3: 64 * 1024 * 1024, 4: 256 * 1024 * 1024, 5: 64 * 1024 };

/** Directory of a box held as a whole: its frames and what follows them. */
function openDirectory(bytes, kind, object, key) {
  if (bytes.length < 88) throw damaged(object, 'it is truncated');
  const box = boxOf(bytes.subarray(0, 64), kind, key, object);
  const trailer = bytes.subarray(bytes.length - 24);
  const offset = Number(trailer.readBigUInt64LE(0));
  const length = trailer.readUInt32LE(8);
  const count = trailer.readUInt32LE(12);
  if (
    trailer.readUInt32LE(16) !== 0 ||
    trailer.toString('latin1', 20) !== 'TBFL' ||
    offset + length + 24 !== bytes.length ||
    offset < 64
  ) {
    throw damaged(object, 'its trailer is wrong');
  }
  const directory = unseal(box, 1, count, bytes.subarray(offset, offset + length), object);
  const nameEnd = directory.length < 2 ? Infinity : 2 + directory.readUInt16LE(0);
  const end = nameEnd + count * 49;
  if (end > directory.length) throw damaged(object, 'its directory is too short');
  if (directory.toString('utf8', 2, nameEnd) !== object) throw damaged(object, 'it was written under another name');
  const entries = [];
  let expected = 64;
  for (let at = nameEnd; at < end; at += 49) {
    const entry = {
      offset: Number(directory.readBigUInt64LE(at)),
      storedLength: directory.readUInt32LE(at + 8),
      plainLength: directory.readUInt32LE(at + 12),
      codec: directory.readUInt8(at + 16),
      id: directory.subarray(at + 17, at + 49),
    };
    if (entry.offset !== expected) throw damaged(object, 'its frames have gaps');
    expected += entry.storedLength;
    entries.push(entry);
  }
  if (expected !== offset) throw damaged(object, 'its frames have gaps');
  const plainBytes = entries.reduce((sum, entry) => sum + entry.plainLength, 0);
  if (plainBytes > mostPlainBytes[kind]) throw damaged(object, `it yields ${plainBytes} bytes, more than its kind may`);
  const idKey = chunkIdKey(key);
  const frames = () =>
    entries.map((entry, n) =>
      openFrame(box, n, bytes.subarray(entry.offset, entry.offset + entry.storedLength), entry, object, idKey),
    );
  return { frames, directory, end };
}

/** The plain frames of an index or a document. */
function openBox(bytes, kind, object, key) {
  const { frames, directory, end } = openDirectory(bytes, kind, object, key);
  if (end !== directory.length) throw damaged(object, 'its directory is too long');
  return frames();
}

function openWalBox(bytes, kind, object, key, trusted) {
  const { frames, directory, end } = openDirectory(bytes, kind, object, key);
  if (directory.length !== end + (key === undefined ? 0 : 96)) {
    throw damaged(object, 'its directory has a wrong length');
  }
  if (key === undefined) return { frames, doubt: undefined };
  const publicKey = directory.subarray(end, end + 32);
  const signed = Buffer.concat([bytes.subarray(0, 64), directory.subarray(0, end + 32)]);
  if (!isSignedBy(publicKey, signed, directory.subarray(end + 32))) throw damaged(object, 'its signature is wrong');
  return { frames, doubt: doubtOf(key, publicKey, trusted) };
}

function chunkIdKey(key) {
  return key === undefined ? undefined : hkdf(key.bytes, '', 'lifeboat/1/chunk-id');
}

// ---------------------------------------------------------------- sealed documents

/** Takes a document apart at its last lines: "signature" (if any) and "seal". */
function splitDocument(bytes, object) {
  if (bytes.length > 4 * 1024 * 1024) throw damaged(object, 'it is too large');
  const text = bytes.toString('latin1');
  const sealAt = text.lastIndexOf('\n  "seal": "') + 1;
  const seal = /^ {2}"seal": "([0-9a-f]{64})"\n\}\n$/.exec(text.slice(sealAt))?.[1];
  if (sealAt === 0 || seal === undefined) throw damaged(object, 'it does not end in a seal');
  const value = parseJson(bytes, object);
  if (value.seal !== seal) throw damaged(object, 'it holds two seals');
  const document = { value, seal, sealed: bytes.subarray(0, sealAt), signature: undefined, signed: undefined };
  if (value.signature === undefined) return document;
  const signatureAt = text.lastIndexOf('\n  "signature": {', sealAt) + 1;
  const line = /^ {2}"signature": (\{\s*"key": "[^"]*",\s*"value": "[^"]*"\s*\}),\n$/.exec(
    text.slice(signatureAt, sealAt),
  )?.[1];
  if (signatureAt === 0 || line === undefined || JSON.stringify(JSON.parse(line)) !== JSON.stringify(value.signature)) {
    throw damaged(object, 'its signature is malformed');
  }
  const key = fromBase64(value.signature.key, 32);
  const signature = fromBase64(value.signature.value, 64);
  if (key === undefined || signature === undefined) throw damaged(object, 'its signature is malformed');
  return { ...document, signature: { key, value: signature }, signed: bytes.subarray(0, signatureAt) };
}

/** Checks seal and signature; returns why the writer may be somebody else, if so. */
function checkDocument(document, key, info, object, trusted) {
  const seal =
    key === undefined
      ? crypto.createHash('sha256').update(document.sealed).digest()
      : crypto
          .createHmac('sha256', hkdf(key.bytes, '', info))
          .update(document.sealed)
          .digest();
  if (!crypto.timingSafeEqual(seal, Buffer.from(document.seal, 'hex'))) {
    throw damaged(object, 'its seal does not match');
  }
  const { signature } = document;
  if (signature !== undefined && !isSignedBy(signature.key, document.signed, signature.value)) {
    throw damaged(object, 'its signature is wrong');
  }
  return doubtOf(key, signature?.key, trusted);
}

/** Anybody can wrap a data key to an age recipient; who opened it so must know the writer. */
function doubtOf(key, publicKey, trusted) {
  if (key === undefined || key.openedBy !== 'age') return undefined;
  if (publicKey === undefined) return 'nobody signed it';
  return trusted.some((each) => each.equals(publicKey)) ? undefined : `it is signed by ${publicKey.toString('base64')}`;
}

function isSignedBy(publicKey, bytes, value) {
  const key = crypto.createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]),
    format: 'der',
    type: 'spki',
  });
  return crypto.verify(null, bytes, key, value);
}

// ---------------------------------------------------------------- keys

function readKeyMaterial(keyFile) {
  const material = { raw: [], passphrases: [], identities: [], count: 0 };
  const {
    BACKUP_ENCRYPTION_KEY: key,
    BACKUP_ENCRYPTION_PASSPHRASE: passphrase,
    BACKUP_ENCRYPTION_IDENTITY: identity,
  } = process.env;
  if (keyFile !== undefined) addKey(material, fs.readFileSync(keyFile, 'utf8'));
  else {
    if (key !== undefined) addKey(material, key);
    if (passphrase !== undefined) material.passphrases.push(passphrase.normalize('NFC'));
    if (identity !== undefined) {
      addIdentities(material, identity.includes('AGE-SECRET-KEY-') ? identity : fs.readFileSync(identity, 'utf8'));
    }
  }
  material.count = material.raw.length + material.passphrases.length + material.identities.length;
  return material;
}

function addKey(material, text) {
  if (text.includes('AGE-SECRET-KEY-')) return addIdentities(material, text);
  const key = text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '');
  if (key === '') throw badKey('the key is blank');
  if (/^[0-9a-fA-F]{64}$/.test(key)) material.raw.push(Buffer.from(key, 'hex'));
  else if (fromBase64(key, 32) !== undefined) material.raw.push(fromBase64(key, 32));
  else if (/^[A-Za-z0-9+/=]{40,70}$/.test(key)) {
    throw badKey(`the key is damaged: ${key.length} characters, neither 64 hex digits nor base64 of 32 bytes`);
  } else material.passphrases.push(key.normalize('NFC'));
}

function addIdentities(material, text) {
  for (const line of text.split(/\r?\n/).map((each) => each.trim())) {
    if (line !== '' && !line.startsWith('#')) material.identities.push(decodeIdentity(line));
  }
}

/** The data key that something names; opened once. Undefined where nothing is encrypted. */
function dataKeyOf(repository, id, backupId, object) {
  if (!repository.encrypted) {
    if (id !== undefined) throw damaged(object, 'it says that it is encrypted, repository.json that nothing is');
    return undefined;
  }
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) {
    throw damaged(object, 'it names no data key, in an encrypted repository');
  }
  if (repository.material.count === 0) throw badKey('the repository is encrypted: give the key with --key-file');
  const known = repository.keys.get(id);
  if (known !== undefined) return known;
  const places = [`keys/${id}.json`, ...(backupId === undefined ? [] : [`backups/${backupId}/keys.json`])];
  const reasons = [];
  for (const place of places) {
    try {
      const key = openKeyFile(repository, id, place);
      repository.keys.set(id, key);
      return key;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      reasons.push(error.message);
    }
  }
  throw badKey(`data key ${id} cannot be opened: ${reasons.join('; ')}`);
}

function openKeyFile(repository, id, object) {
  const bytes = readObject(repository.root, object) ?? fail(notFound(`${object} is missing`));
  const document = splitDocument(bytes, object);
  const file = document.value;
  if (file.format !== 1 || file.id !== id || !Array.isArray(file.recipients)) {
    throw damaged(object, 'it is no key file of this data key');
  }
  // Each costs a quarter of a second.
  if (file.recipients.filter(({ type }) => type === 'passphrase').length > 16) {
    throw damaged(object, 'it has more than 16 entries for passphrases');
  }
  for (const openedBy of ['raw', 'passphrase', 'age']) {
    for (const entry of file.recipients.filter(({ type }) => type === openedBy)) {
      const key = openEntry(repository.material, entry, id);
      if (key === undefined) continue;
      checkDocument(document, { bytes: key, openedBy: 'raw' }, 'lifeboat/1/key-file', object, []);
      return { id, bytes: key, openedBy };
    }
  }
  throw badKey(`the given key does not open ${object}`);
}

function openEntry(material, entry, id) {
  const [salt, wrapped] = [fromBase64(entry.salt, 32), fromBase64(entry.wrapped, 48)];
  if (entry.type === 'age') {
    return material.identities
      .map((identity) => decryptAge(Buffer.from(entry.file, 'base64'), identity))
      .find((key) => key?.length === 32);
  }
  if (salt === undefined || wrapped === undefined) return undefined;
  if (entry.type === 'raw') {
    return material.raw.map((key) => unwrap(key, salt, wrapped, id)).find((key) => key !== undefined);
  }
  const scryptSalt = fromBase64(entry.scryptSalt, 16);
  if (scryptSalt === undefined) return undefined;
  const stretch = (passphrase) =>
    crypto.scryptSync(passphrase, scryptSalt, 32, { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 });
  return material.passphrases
    .map((passphrase) => unwrap(stretch(passphrase), salt, wrapped, id))
    .find((key) => key !== undefined);
}

function unwrap(recipientKey, salt, wrapped, id) {
  const decipher = crypto.createDecipheriv(
    'aes-256-gcm',
    hkdf(recipientKey, salt, 'lifeboat/1/wrap'),
    Buffer.alloc(12),
    { authTagLength: 16 },
  );
  decipher.setAAD(Buffer.from(id, 'hex'));
  decipher.setAuthTag(wrapped.subarray(32));
  try {
    return Buffer.concat([decipher.update(wrapped.subarray(0, 32)), decipher.final()]);
  } catch {
    return undefined;
  }
}

function hkdf(key, salt, info, length = 32) {
  return Buffer.from(crypto.hkdfSync('sha256', key, salt, info, length));
}

// ---------------------------------------------------------------- age (X25519 recipients), see age-encryption.org/v1

/** The plain text of a short binary age file, undefined if this identity does not open it. */
function decryptAge(file, identity) {
  const text = file.toString('latin1');
  const macAt = text.indexOf('\n---') + 1;
  const headerEnd = text.indexOf('\n', macAt) + 1;
  if (!text.startsWith('age-encryption.org/v1\n') || macAt === 0 || headerEnd === 0) return undefined;
  for (const stanza of text.slice(22, macAt).split(/^-> /m).slice(1)) {
    const [first, ...bodyLines] = stanza.split('\n');
    const [type, share] = first.split(' ');
    if (type !== 'X25519') continue;
    const fileKey = unwrapFileKey(Buffer.from(share, 'base64'), Buffer.from(bodyLines.join(''), 'base64'), identity);
    if (fileKey === undefined) continue;
    const mac = crypto
      .createHmac('sha256', hkdf(fileKey, '', 'header'))
      .update(file.subarray(0, macAt + 3))
      .digest();
    if (!mac.equals(Buffer.from(text.slice(macAt + 4, headerEnd), 'base64'))) return undefined;
    return openAgePayload(file.subarray(headerEnd), fileKey);
  }
  return undefined;
}

function unwrapFileKey(share, body, identity) {
  if (share.length !== 32 || body.length !== 32) return undefined;
  const publicKey = crypto.createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), share]),
    format: 'der',
    type: 'spki',
  });
  const secret = crypto.diffieHellman({ privateKey: identity.privateKey, publicKey });
  return openChaCha(
    hkdf(secret, Buffer.concat([share, identity.recipient]), 'age-encryption.org/v1/X25519'),
    Buffer.alloc(12),
    body,
  );
}

/** The payload of one chunk at most (a data key has 32 bytes). */
function openAgePayload(payload, fileKey) {
  const nonce = Buffer.alloc(12);
  nonce[11] = 1;
  return openChaCha(hkdf(fileKey, payload.subarray(0, 16), 'payload'), nonce, payload.subarray(16));
}

function openChaCha(key, nonce, sealed) {
  if (sealed.length < 16) return undefined;
  const decipher = crypto.createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  decipher.setAuthTag(sealed.subarray(sealed.length - 16));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - 16)), decipher.final()]);
  } catch {
    return undefined;
  }
}

/** AGE-SECRET-KEY-1…: bech32 of the 32 bytes of an X25519 private key. */
function decodeIdentity(text) {
  const lower = text.toLowerCase();
  const human = 'age-secret-key-';
  const values = Array.from(lower.slice(human.length + 1), (digit) =>
    'qpzry9x8gf2tvdw0s3jn54khce6mua7l'.indexOf(digit),
  );
  if (!lower.startsWith(`${human}1`) || values.length !== 58 || values.includes(-1)) {
    throw badKey('the age identity is none that this script knows (AGE-SECRET-KEY-1 and 58 characters)');
  }
  let checksum = 1;
  const codes = Array.from(human, (letter) => letter.charCodeAt(0));
  for (const value of [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31), ...values]) {
    const top = checksum >>> 25;
    checksum = ((checksum & 0x1ffffff) << 5) ^ value;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((generator, i) => {
      if ((top >> i) & 1) checksum ^= generator;
    });
  }
  if (checksum !== 1) throw badKey('the age identity is mistyped: its checksum does not match');
  const bits = values
    .slice(0, 52)
    .map((value) => value.toString(2).padStart(5, '0'))
    .join('');
  const scalar = Buffer.from(
    bits
      .slice(0, 256)
      .match(/.{8}/g)
      .map((byte) => parseInt(byte, 2)),
  );
  const privateKey = crypto.createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), scalar]),
    format: 'der',
    type: 'pkcs8',
  });
  return {
    privateKey,
    recipient: crypto.createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(12),
  };
}

// ---------------------------------------------------------------- compression

function decompress(body, codec, plainLength, object) {
  if (plainLength > 16 * 1024 * 1024) throw damaged(object, 'a frame is too large');
  let plain;
  try {
    if (codec === 0) plain = body;
    else if (codec === 1) plain = zstd(body, plainLength);
    else if (codec === 2) plain = zlib.gunzipSync(body, { maxOutputLength: Math.max(1, plainLength) });
    else if (codec === 3) plain = lz4(body, plainLength);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw damaged(object, `a frame does not decompress (${error.message})`);
  }
  if (plain === undefined) throw damaged(object, `codec ${codec} is unknown`);
  if (plain.length !== plainLength) throw damaged(object, `a frame has ${plain.length} bytes, not ${plainLength}`);
  return plain;
}

function zstd(body, plainLength) {
  if (typeof zlib.zstdDecompressSync !== 'function') {
    throw new Failure(
      16,
      `this backup is compressed with zstd: it needs Node.js 22.15 or newer, this is ${process.version}`,
    );
  }
  return zlib.zstdDecompressSync(body, { maxOutputLength: Math.max(1, plainLength) });
}

/** One lz4 frame. Its own checksums are skipped: the bytes were authenticated before, the chunk is after. */
function lz4(frame, plainLength) {
  const flags = frame[4];
  if (frame.readUInt32LE(0) !== 0x184d2204 || flags >> 6 !== 1) throw new Error('no lz4 frame');
  const out = Buffer.allocUnsafe(plainLength);
  let length = 0;
  let at = 7 + (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0);
  for (;;) {
    const word = frame.readUInt32LE(at);
    at += 4;
    if (word === 0) break;
    const size = word & 0x7fffffff;
    if (at + size > frame.length) throw new Error('an lz4 block is cut off');
    const block = frame.subarray(at, at + size);
    if (word >>> 31 === 1) {
      if (length + size > plainLength) throw new Error('an lz4 block yields too much');
      length += block.copy(out, length);
    } else length = lz4Block(block, out, length);
    at += size + (flags & 16 ? 4 : 0);
  }
  if (at + (flags & 4 ? 4 : 0) !== frame.length) throw new Error('something follows the lz4 frame');
  return out.subarray(0, length);
}

/** Decodes a block to `out` from `to` on; matches may reach back into earlier blocks. Returns where it ends. */
function lz4Block(block, out, to) {
  let at = 0;
  const more = (start) => {
    let length = start;
    if (start !== 15) return length;
    for (;;) {
      if (at >= block.length) throw new Error('an lz4 block is cut off');
      const byte = block[at++];
      length += byte;
      if (byte !== 255) return length;
    }
  };
  while (at < block.length) {
    const token = block[at++];
    const literals = more(token >> 4);
    if (at + literals > block.length || to + literals > out.length) throw new Error('lz4 literals reach too far');
    block.copy(out, to, at, at + literals);
    at += literals;
    to += literals;
    if (at === block.length) return to;
    if (at + 2 > block.length) throw new Error('an lz4 block is cut off');
    const distance = block.readUInt16LE(at);
    at += 2;
    const match = more(token & 15) + 4;
    if (distance === 0 || distance > to || to + match > out.length) throw new Error('an lz4 match reaches too far');
    if (distance >= match) out.copyWithin(to, to - distance, to - distance + match);
    else for (let i = 0; i < match; i++) out[to + i] = out[to + i - distance];
    to += match;
  }
  return to;
}

// ---------------------------------------------------------------- files

/** No object is larger. */
const mostObjectBytes = 64 * 1024 * 1024;

/** The bytes of an object, undefined if there is none. A pipe in its place is not waited for. */
function readObject(root, object) {
  let fd;
  try {
    fd = fs.openSync(path.join(root, object), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const found = fs.fstatSync(fd);
    if (!found.isFile() || found.size > mostObjectBytes) throw damaged(object, 'it is too large, or no file');
    return fs.readFileSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function needObject(repository, object) {
  return readObject(repository.root, object) ?? fail(damaged('the repository', `${object} is missing`));
}

function readNames(folder) {
  try {
    return fs.readdirSync(folder).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}

function parseJson(bytes, object) {
  let value;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (isTooDeep(text)) throw new Error('it is nested too deeply');
    value = JSON.parse(text);
  } catch {
    throw damaged(object, 'it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw damaged(object, 'it is not a JSON object');
  }
  return value;
}

/** Deeper than anything that lifeboat writes. */
function isTooDeep(text) {
  let depth = 0;
  for (const [token] of text.matchAll(/[[{}\]]|"(?:[^"\\]|\\.)*"?/gs)) {
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth--;
    if (depth > 100) return true;
  }
  return false;
}

function sha256Hex(bytes) {
  return crypto.createHash('sha256').update(bytes).digest('hex');
}

/** Padded base64 of exactly `length` bytes, else undefined. */
function fromBase64(text, length) {
  if (typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === length && bytes.toString('base64') === text ? bytes : undefined;
}

function print(text) {
  console.log(printable(text));
}

/** What a damaged object or a name holds drives no terminal. */
function printable(text) {
  return text.replaceAll(
    /[^\P{Cc}\n]|[\p{Cs}\u2028\u2029\p{Bidi_Control}]/gu,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (error instanceof Failure) process.exitCode = error.exitCode;
  else {
    process.exitCode =
      error.code === 'ENOSPC' ? 15 : typeof error.code === 'string' && /^E[A-Z]+$/.test(error.code) ? 20 : 1;
  }
  console.error(printable(`rescue: ${process.exitCode === 1 ? error.stack : error.message}`));
}
