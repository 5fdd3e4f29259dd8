/** Parsers of what lies in a repository. What is sealed is sealed anew after its change, so that the content is met. */
import { documentSchema } from '../../../src/operations/backup-facts.ts';
import { parseFacts } from '../../../src/repository/backups/facts.ts';
import { openBox } from '../../../src/repository/box/box.ts';
import { BoxCipher } from '../../../src/repository/box/cipher.ts';
import { chunkIdOf } from '../../../src/repository/box/chunk-id.ts';
import { codec, decode } from '../../../src/repository/box/codec.ts';
import { sha256 } from '../../../src/repository/box/crypto.ts';
import {
  boxKind,
  encodeDirectory,
  encodeTrailer,
  headerBytes,
  newHeader,
  tagBytes,
} from '../../../src/repository/box/layout.ts';
import { checkSeal, splitDocument } from '../../../src/repository/box/seal.ts';
import { signerFromSeed } from '../../../src/repository/box/signing.ts';
import { compressFrame } from '../../../src/repository/box/zstd-frames.ts';
import {
  encodeKeyFile,
  newDataKey,
  openKeyFile,
  parseKeyFile,
  wrapDataKey,
} from '../../../src/repository/keys/file.ts';
import { parseLease } from '../../../src/repository/leases/record.ts';
import { parseManifest } from '../../../src/repository/manifests/manifest.ts';
import { indexKey } from '../../../src/repository/object-keys.ts';
import { IndexPart, IndexPartBuilder } from '../../../src/repository/packs/index-part.ts';
import { decodePackTable, encodePackTable, PackUsage } from '../../../src/repository/packs/usage.ts';
import { filesFacts } from '../../../src/source/files/facts.ts';
import { baseFacts } from '../../../src/source/postgres/base/facts.ts';
import { postgresFacts } from '../../../src/source/postgres/facts/facts.ts';
import { redisFacts } from '../../../src/source/redis/facts.ts';
import type { Parser } from './run.ts';

const hex = '0123456789abcdef'.repeat(4);
const id = '20260102T030405Z-main-full-0123abcd';
const repositoryId = '00010203-0405-4607-8809-0a0b0c0d0e0f';
const time = '2026-01-02T03:04:05.000Z';

const manifest = {
  format: 1,
  repository: repositoryId,
  id,
  target: 'main',
  type: 'full',
  label: 'why',
  tags: ['weekly'],
  host: 'vm',
  versions: { lifeboat: '1.0.0' },
  startedAt: time,
  finishedAt: time,
  warnings: 0,
  previous: { id, seal: hex },
  factsSha256: hex,
  packsSha256: hex,
  components: [
    {
      name: 'database',
      kind: 'postgres',
      startedAt: time,
      finishedAt: time,
      readBytes: 1,
      newBytes: 1,
      storedBytes: 1,
      artifacts: [
        {
          name: 'a.dump',
          mediaType: 'x/y',
          bytes: 1,
          chunks: 1,
          index: [{ object: indexKey(id, 'a.dump', 0), bytes: 1, sha256: hex, chunks: 1 }],
        },
      ],
    },
  ],
};

const facts = {
  format: 1,
  components: [
    {
      name: 'redis',
      kind: 'redis',
      facts: { flavour: 'redis', serverVersion: '7.0.0', databases: [{ db: 0, keys: 1 }] },
    },
    {
      name: 'database',
      kind: 'postgres',
      facts: { serverVersion: '15.1', databases: [{ name: 'app', tables: [[1]] }] },
    },
  ],
};

const lease = {
  id: 'x',
  scope: 'cleanup',
  command: 'cleanup',
  host: 'vm',
  bootId: 'b',
  pidNamespace: 'n',
  pid: 1,
  processStart: '1',
  user: 'root',
  since: time,
  parents: [id],
};

function asJson(value: object): Buffer {
  return Buffer.from(JSON.stringify(value, undefined, 2));
}

/** Without its last brace, which follows the seal. */
function openJson(value: object): Buffer {
  return asJson(value).subarray(0, -2);
}

function withSeal(open: Buffer): Buffer {
  const sealed = Buffer.concat([open, Buffer.from(',\n')]);
  return Buffer.concat([sealed, Buffer.from(`  "seal": "${sha256(sealed).toString('hex')}"\n}\n`)]);
}

const object = 'backups/b/facts';
const plainHeader = newHeader(boxKind.document, undefined, Buffer.alloc(0));
const plainCipher = new BoxCipher(plainHeader, undefined);
const body = Buffer.from('{"answer":42}');
const frame = Buffer.alloc(body.length + tagBytes);
plainCipher.sealInto(frame, 0, 0, body);
const frames = [
  {
    offset: headerBytes,
    storedLength: frame.length,
    plainLength: body.length,
    codec: 0,
    chunkId: chunkIdOf(undefined, body),
  },
];

function boxWith(directory: Buffer): Buffer {
  const sealed = plainCipher.sealDirectory(1, directory);
  const trailer = { directoryOffset: headerBytes + frame.length, directoryLength: sealed.length, frameCount: 1 };
  return Buffer.concat([plainHeader, frame, sealed, encodeTrailer(trailer)]);
}

function indexSample(): Buffer {
  const part = new IndexPartBuilder();
  for (let n = 0; n < 5; n++) {
    const place = { packId: Buffer.alloc(16, n & 1), packHeader: plainHeader, frame: n, offset: headerBytes + n * 100 };
    part.add(Buffer.alloc(32, n), { ...place, storedLength: 100, plainLength: 90, codec: 1 });
  }
  return part.encode();
}

/** Samples of some need compressing and wrapping first. */
export async function repositoryParsers(): Promise<Parser[]> {
  const rawKey = Buffer.alloc(32, 7);
  const material = { rawKey, passphrases: [], identities: [], recipients: [], trustedKeys: [] };
  const dataKey = newDataKey();
  const keyId = dataKey.id.toString('hex');
  const keyFile = encodeKeyFile(
    { id: keyId, createdAt: time, recipients: await wrapDataKey(dataKey, material) },
    dataKey,
    signerFromSeed(Buffer.alloc(32, 9)),
  );
  const packed = Buffer.from(await compressFrame(Buffer.alloc(5000, 'lifeboat '), 3));
  return [
    {
      name: 'manifest',
      samples: [openJson(manifest)],
      dress: withSeal,
      parse: async (input) => {
        const split = splitDocument(input, 'manifests/x.json');
        await checkSeal(split, undefined, 'manifests/x.json');
        JSON.stringify(parseManifest(split.members, id, repositoryId, 'manifests/x.json'));
      },
    },
    {
      name: 'key file',
      samples: [keyFile],
      parse: async (input) => openKeyFile(parseKeyFile(input, 'keys/x.json', undefined), material),
    },
    {
      name: 'facts',
      samples: [asJson(facts)],
      parse: (input) => {
        const parsed = documentSchema.safeParse(parseFacts(input, object));
        for (const each of parsed.data?.components ?? []) {
          for (const schema of [redisFacts, postgresFacts, filesFacts, baseFacts]) schema.safeParse(each.facts);
          JSON.stringify(each);
        }
      },
    },
    { name: 'lease', samples: [asJson(lease)], parse: parseLease },
    {
      name: 'box',
      samples: [boxWith(encodeDirectory(object, frames))],
      parse: async (input) => openBox(input, boxKind.document, object, undefined),
    },
    {
      name: 'box directory',
      samples: [encodeDirectory(object, frames)],
      dress: boxWith,
      parse: async (input) => openBox(input, boxKind.document, object, undefined),
    },
    { name: 'compressed frame', samples: [packed], parse: async (input) => decode(input, codec.zstd, 5000) },
    {
      name: 'index part',
      samples: [indexSample()],
      parse: (input) => {
        const part = new IndexPart(input);
        const usage = new PackUsage();
        for (let n = 0; n < part.chunks; n++) usage.add(part.record(n));
      },
    },
    {
      name: 'pack table',
      samples: [encodePackTable([{ packId: Buffer.alloc(16, 1), objectBytes: 100, usedBytes: 50, lockedUntil: 0 }])],
      parse: (input) => [...decodePackTable(input)],
    },
  ];
}
