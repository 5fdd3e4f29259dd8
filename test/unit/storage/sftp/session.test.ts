/** What an SFTP server may send that means us harm, byte by byte. A real server's answers are in test/contract. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { Channel, SessionLostError, StatusError } from '../../../../src/storage/sftp/channel.ts';
import { walk } from '../../../../src/storage/sftp/list.ts';
import { packet, PacketReader, packetType, uint32, uint64 } from '../../../../src/storage/sftp/packets.ts';
import { Session } from '../../../../src/storage/sftp/session.ts';
import { StorageError } from '../../../../src/storage/storage.ts';

type Reply = (type: number, reader: PacketReader, id: number) => Buffer | undefined;

interface Wire {
  readonly channel: Channel;
  readonly lost: string[];
  /** What the server sends by itself. */
  send(bytes: Buffer): void;
}

/** A server that says what `reply` has to each request. */
function wire(reply: Reply, idleTimeoutMs = 20_000): Wire {
  const [requests, answers] = [new PassThrough(), new PassThrough()];
  const lost: string[] = [];
  requests.on('data', (bytes: Buffer) => {
    for (let at = 0; at < bytes.length;) {
      const length = bytes.readUInt32BE(at);
      const reader = new PacketReader(bytes.subarray(at + 4, at + 4 + length));
      const type = reader.byte();
      const answer = reply(type, reader, type === packetType.init ? 0 : reader.uint32());
      if (answer !== undefined) answers.write(answer);
      at += 4 + length;
    }
  });
  const channel = new Channel(requests, answers, { idleTimeoutMs, onLost: (why) => lost.push(why.message) });
  return { channel, lost, send: (bytes) => void answers.write(bytes) };
}

const hello = packet(packetType.version, uint32(3));
/** Greets, then says that. */
const greeting =
  (more: Reply): Reply =>
  (type, reader, id) =>
    type === packetType.init ? hello : more(type, reader, id);

const status = (id: number, code: number, said = ''): Buffer =>
  packet(packetType.status, uint32(id), uint32(code), { string: said }, { string: '' });

test('a packet of 4 GB is not waited for, nor one of no bytes', async () => {
  for (const length of [0xffff_ffff, 300_000, 0]) {
    const { channel, lost } = wire(() => Buffer.concat([uint32(length), Buffer.alloc(64)]));
    await assert.rejects(Session.begin(channel), SessionLostError);
    assert.match(lost.join(), /that is not SFTP/);
  }
});

test('text before the protocol, of another version, or of no protocol at all', async () => {
  const banner = wire(() => Buffer.from('Welcome to this host!\n'));
  await assert.rejects(Session.begin(banner.channel), /that is not SFTP/);
  const old = wire(() => packet(packetType.version, uint32(2)));
  await assert.rejects(Session.begin(old.channel), /version 2/);
  old.channel.lose('done');
  const cut = wire(() => Buffer.concat([uint32(3), Buffer.from([packetType.version, 0, 0])]));
  await assert.rejects(Session.begin(cut.channel), /ends before its fields do/);
  cut.channel.lose('done');
});

test('an answer to what was not asked ends the session, with all that waits', async () => {
  const { channel, lost } = wire(greeting((_, __, id) => status(id + 7, 0)));
  const session = await Session.begin(channel);
  await assert.rejects(Promise.all([session.remove('/a'), session.remove('/b')]), SessionLostError);
  await assert.rejects(session.remove('/c'), SessionLostError);
  assert.deepEqual(lost, ['the server answered what was not asked']);
});

test('a server that falls silent is left; one that has nothing to answer is not', async () => {
  const { channel } = wire(
    greeting((_, __, id) => (id === 1 ? status(id, 0) : undefined)),
    200,
  );
  const session = await Session.begin(channel);
  await session.remove('/a');
  await new Promise((resolve) => setTimeout(resolve, 500));
  await assert.rejects(session.remove('/b'), /no answer for/);
});

test('more bytes than were asked for, a size beyond numbers, a status without its code', async () => {
  const tooMuch = wire(greeting((_, __, id) => packet(packetType.data, uint32(id), { string: Buffer.alloc(200) })));
  await assert.rejects((await Session.begin(tooMuch.channel)).read(Buffer.from('h'), 0, 100), /more than was asked/);
  tooMuch.channel.lose('done');
  const size = Buffer.concat([uint32(1), Buffer.alloc(8, 0xff)]);
  const huge = wire(greeting((_, __, id) => packet(packetType.attributes, uint32(id), size)));
  await assert.rejects((await Session.begin(huge.channel)).stat('/'), /larger than any file/);
  huge.channel.lose('done');
  const bare = wire(greeting((_, __, id) => packet(packetType.status, uint32(id))));
  await assert.rejects((await Session.begin(bare.channel)).remove('/'), /ends before its fields do/);
  bare.channel.lose('done');
  const terse = wire(greeting((_, __, id) => packet(packetType.status, uint32(id), uint32(4))));
  await assert.rejects(
    (await Session.begin(terse.channel)).remove('/'),
    (error) => error instanceof StatusError && error.code === 4,
  );
  terse.channel.lose('done');
});

test('a body that ends early is told as it is; short answers are asked on', async () => {
  const content = Buffer.from('0123456789');
  const { channel } = wire(
    greeting((_, reader, id) => {
      reader.string();
      const at = reader.uint64();
      const asked = reader.uint32();
      const piece = content.subarray(at, Math.min(at + 3, at + asked));
      return piece.length === 0 ? status(id, 1) : packet(packetType.data, uint32(id), { string: piece });
    }),
  );
  const session = await Session.begin(channel);
  assert.equal(String(await session.read(Buffer.from('h'), 2, 8)), '23456789');
  assert.equal(String(await session.read(Buffer.from('h'), 2, 50)), '23456789');
  channel.lose('done');
});

test('names that lead elsewhere are no objects, a link is told, a folder without an end ends', async () => {
  const file = Buffer.concat([uint32(0x1 | 0x4 | 0x8), uint64(5), uint32(0o100_600), uint32(0), uint32(9)]);
  const link = Buffer.concat([uint32(0x1 | 0x4 | 0x8), uint64(5), uint32(0o120_777), uint32(0), uint32(9)]);
  const listing = (names: readonly [string, Buffer][]): Reply => {
    let isTold = false;
    return greeting((type, _, id) => {
      if (type === packetType.opendir) return packet(packetType.handle, uint32(id), { string: 'h' });
      if (type === packetType.close || isTold) return status(id, type === packetType.close ? 0 : 1);
      isTold = true;
      const entries = names.flatMap(([name, attributes]) => [{ string: name }, { string: 'ls -l' }, attributes]);
      return packet(packetType.name, uint32(id), uint32(names.length), ...entries);
    });
  };
  const list = async (names: readonly [string, Buffer][]): Promise<string[]> => {
    const { channel } = wire(listing(names));
    const session = await Session.begin(channel);
    const walked = { session: async () => session, pathOf: (key: string) => `/root/${key}` };
    const keys: string[] = [];
    try {
      for await (const { key } of walk(walked, '', '', '')) keys.push(key);
    } finally {
      channel.lose('done');
    }
    return keys;
  };
  const hostile = ['..', '.', '../etc/passwd', 'a/../../b', '/etc/passwd', '', '.tmp-0', 'a\0b'];
  assert.deepEqual(await list([...hostile, 'good'].map((name) => [name, file])), ['good']);
  await assert.rejects(
    list([['linked', link]]),
    (error) => error instanceof StorageError && /is a link/.test(error.message),
  );
});
