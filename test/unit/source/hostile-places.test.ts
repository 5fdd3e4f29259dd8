/**
 * Root places a base backup, a snapshot of Redis and an export in folders of a user who goes on planting links there
 * and exchanging what is being written: whatever becomes of it, no other file is written to or given away.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openLifeboat } from '../../../src/index.ts';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { restoreBase } from '../../../src/source/postgres/base/restore.ts';
import type { RedisFacts } from '../../../src/source/redis/facts.ts';
import { placeRedisSnapshot } from '../../../src/source/redis/place.ts';
import type { ArtifactReader } from '../../../src/source/source.ts';
import { intruder, startWatcher, type Watcher } from '../../helpers/concurrency/intruder.ts';
import { quiet } from '../../helpers/repository/cleanup-home.ts';

const rounds = 8;
const top = mkdtempSync(join(tmpdir(), 'places-'));
chmodSync(top, 0o755);
after(() => rmSync(top, { recursive: true, force: true }));
let count = 0;

interface Places {
  /** Of the intruder. */
  readonly theirs: string;
  readonly unchanged: () => void;
  /** Exchanges each entry of `theirs` whose name begins so for a link to root's folder, or a file there, and back. */
  watch(beginning: string): Promise<Watcher>;
}

function places(): Places {
  const place = join(top, String(count++));
  const [theirs, ours] = [join(place, 'theirs'), join(place, 'ours')];
  const names = ['file', 'PG_VERSION', 'dump.rdb', 'files.tar', 'facts.json', 'SHA256SUMS', 'snapshot'];
  mkdirSync(ours, { recursive: true, mode: 0o755 });
  for (const name of names) writeFileSync(join(ours, name), 'of root', { mode: 0o600 });
  mkdirSync(theirs);
  chownSync(theirs, intruder.uid, intruder.gid);
  return {
    theirs,
    unchanged: () => {
      assert.deepEqual(readdirSync(ours), names.toSorted());
      for (const name of names) {
        const { uid, mode } = statSync(join(ours, name));
        assert.deepEqual([readFileSync(join(ours, name), 'utf8'), uid, mode & 0o777], ['of root', 0, 0o600], name);
      }
      assert.deepEqual([statSync(ours).uid, statSync(ours).mode & 0o777], [0, 0o755]);
    },
    watch: async (beginning) =>
      startWatcher(`
        globalThis.turn = (globalThis.turn ?? 0) + 1;
        const [theirs, ours] = ${JSON.stringify([theirs, ours])};
        for (const name of fs.readdirSync(theirs).filter((each) => each.startsWith(${JSON.stringify(beginning)}))) {
          const [path, away] = [theirs + '/' + name, theirs + '/away'];
          fs.renameSync(path, away);
          try {
            fs.symlinkSync(turn % 2 === 0 ? ours : ours + '/file', path);
            for (const until = performance.now() + 0.3; performance.now() < until;);
            fs.unlinkSync(path);
          } finally {
            fs.renameSync(away, path);
          }
        }`),
  };
}

/** Runs it so often while the intruder is at work; operators' failures are fine. Tells how often it was done. */
async function rounded({ unchanged, watch }: Places, beginning: string, work: () => Promise<unknown>): Promise<number> {
  let done = 0;
  await using _ = await watch(beginning);
  for (let round = 0; round < rounds; round++) {
    try {
      await work();
      done++;
    } catch (error) {
      assert.ok(error instanceof LifeboatError, String(error));
    }
    unchanged();
  }
  return done;
}

function readerOf(artifacts: Readonly<Record<string, Buffer>>): ArtifactReader {
  return {
    artifacts: Object.entries(artifacts).map(([name, bytes]) => ({ name, bytes: bytes.length, mediaType: '' })),
    open: async function* (name, range) {
      yield Buffer.from(artifacts[name]?.subarray(range?.start, range?.end) ?? []);
    },
  };
}

test('a base backup', async () => {
  const home = places();
  const source = join(top, 'base');
  for (const name of ['global', 'base/1', 'base/2']) mkdirSync(join(source, name), { recursive: true });
  writeFileSync(join(source, 'PG_VERSION'), '17\n');
  for (let n = 0; n < 60; n++) writeFileSync(join(source, `base/${1 + (n % 2)}`, String(n)), 'page'.repeat(1000));
  const tar = execFileSync('tar', ['--format=ustar', '-cf', '-', '-C', source, '.']);
  let turn = 0;
  await rounded(home, 'data', async () => {
    // Made where the intruder does not look yet, and each under a name of its own: or we ourselves would run into him.
    const [made, dataDir] = [join(home.theirs, 'made'), join(home.theirs, `data-${turn++}`)];
    mkdirSync(made);
    chownSync(made, intruder.uid, intruder.gid);
    renameSync(made, dataDir);
    // It ends as no whole one, after all files are written.
    await restoreBase(
      { reader: readerOf({ 'base.tar': tar }), dataDir, tablespaces: [], owner: intruder, isKept: true },
      quiet(),
    );
  });
});

test('a snapshot of Redis', async () => {
  const home = places();
  const snapshot = Buffer.concat([Buffer.from('REDIS0011'), Buffer.from([0xff]), Buffer.alloc(8)]);
  const at = new Date().toISOString();
  const facts: RedisFacts = {
    flavour: 'redis',
    serverVersion: '7.2.0',
    rdbVersion: 11,
    consistency: 'snapshot',
    startedAt: at,
    endedAt: at,
    crc: 'unverified',
    checkedBy: 'lifeboat',
    artifact: 'redis.rdb',
    bytes: snapshot.length,
    keys: 0,
    expires: 0,
    databases: [],
    functions: [],
    keyFingerprint: { method: 'keys-1', value: '0'.repeat(16) },
  };
  const reader = readerOf({ 'redis.rdb': snapshot });
  const place = async (appendonly: boolean): Promise<unknown> =>
    placeRedisSnapshot({ reader, facts, dir: home.theirs, appendonly }, quiet());
  let turn = 0;
  await rounded(home, '', async () => place(turn++ % 2 === 0));
  // Nobody in the way: then it works there, so the rounds above were of something.
  for (const name of readdirSync(home.theirs)) rmSync(join(home.theirs, name), { recursive: true });
  await place(false);
  assert.deepEqual(readFileSync(join(home.theirs, 'dump.rdb')), snapshot);
  assert.equal(statSync(join(home.theirs, 'dump.rdb')).uid, intruder.uid);
  home.unchanged();
});

test('an export', async () => {
  const home = places();
  const own = join(top, 'own');
  mkdirSync(join(own, 'files'), { recursive: true });
  writeFileSync(join(own, 'files/a'), 'content');
  await using lifeboat = await openLifeboat({
    config: {
      repository: `file://${own}/repository`,
      encryption: { key: 'ab'.repeat(32) },
      targets: { main: { files: { paths: [join(own, 'files')] } } },
    },
    env: {},
    cwd: own,
    stateDir: join(own, 'state'),
  });
  await lifeboat.init();
  const made = await lifeboat.backup();
  const id = made.outcome === 'done' ? made.id : '';
  let turn = 0;
  await rounded(home, '.out', async () => lifeboat.export({ id, folder: join(home.theirs, `out-${turn++}`) }));
  await lifeboat.export({ id, folder: join(home.theirs, 'out') });
  assert.ok(readdirSync(join(home.theirs, 'out')).includes('SHA256SUMS'));
  home.unchanged();
});
