/**
 * A repository damaged in every way, one object at a time: the report names exactly that object, and
 * touches exactly what cannot be read any more, which is found by reading everything.
 */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Damage } from '../../src/operations/validate/request.ts';
import { damagedRepository, type DamagedRepository } from '../helpers/repository/validation.ts';

let home: DamagedRepository;
let restore: () => Promise<void>;
/** Of main the first and the second, which adds a file; then of other. */
let ids: [string, string, string];
const chosen: Record<string, string> = {};

before(async () => {
  home = await damagedRepository();
  const first = await home.backup('main');
  writeFileSync(join(home.work, 'main', 'zero'), 'more');
  const second = await home.backup('main');
  ids = [first, second, await home.backup('other')];
  await home.validate();
  const packs = readdirSync(join(home.root, 'packs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pack'))
    .map((name) => `packs/${name}`);
  const uses = await home.use(async ({ storage }) =>
    Promise.all(ids.map(async (id) => (await storage.get(`backups/${id}/packs`)).toString('hex'))),
  );
  const users = (pack: string): string =>
    uses.map((table) => (table.includes(pack.slice(-37, -5)) ? 'x' : '-')).join('');
  chosen['shared'] = packs.find((pack) => users(pack) === 'xx-') ?? '';
  chosen['own'] = packs.find((pack) => users(pack) === '-x-') ?? '';
  chosen['foreign'] = packs.find((pack) => users(pack) === '--x') ?? '';
  assert.ok(chosen['shared'] !== '' && chosen['own'] !== '' && chosen['foreign'] !== '');
  restore = await home.keep();
});
afterEach(async () => restore());
after(() => home[Symbol.dispose]());

const at = (object: string): string => join(home.root, object);

/** What is done to an object; `other` is one of the same kind. */
const harms: Readonly<Record<string, (object: string, other: string) => void>> = {
  missing: (object) => rmSync(at(object)),
  truncated: (object) => truncateSync(at(object), Math.floor(statSync(at(object)).size / 2)),
  flipped: (object) => {
    const bytes = readFileSync(at(object));
    const place = Math.floor(bytes.length / 2);
    bytes[place] = (bytes[place] ?? 0) ^ 1;
    writeFileSync(at(object), bytes);
  },
  swapped: (object, other) => copyFileSync(at(other), at(object)),
  emptied: (object) => truncateSync(at(object), 0),
  lengthened: (object) => appendFileSync(at(object), 'x'),
};

interface Kind {
  readonly name: string;
  readonly object: () => string;
  readonly other: () => string;
  /** Backups that are named: by number in `ids`. */
  readonly backups: readonly number[];
  /** None of the backup can be restored; else only what cannot be read. */
  readonly whole?: true;
  /** The accounting looks at presence and size only. */
  readonly sizeOnly?: true;
}

const kinds: readonly Kind[] = [
  {
    name: 'a pack that two backups share',
    object: () => chosen['shared'] ?? '',
    other: () => chosen['own'] ?? '',
    backups: [0, 1],
    sizeOnly: true,
  },
  {
    name: 'a pack of one backup',
    object: () => chosen['own'] ?? '',
    other: () => chosen['foreign'] ?? '',
    backups: [1],
    sizeOnly: true,
  },
  {
    name: 'an index',
    object: () => `backups/${ids[0]}/files.tar.0.index`,
    other: () => `backups/${ids[1]}/files.tar.0.index`,
    backups: [0],
    sizeOnly: true,
  },
  {
    name: 'facts',
    object: () => `backups/${ids[1]}/facts`,
    other: () => `backups/${ids[0]}/facts`,
    backups: [1],
    whole: true,
  },
  {
    name: 'a table of packs',
    object: () => `backups/${ids[1]}/packs`,
    other: () => `backups/${ids[0]}/packs`,
    backups: [1],
  },
  {
    name: 'a copy of the key file',
    object: () => `backups/${ids[0]}/keys.json`,
    other: () => `manifests/${ids[0]}.json`,
    backups: [0],
  },
  {
    name: 'the key file',
    object: () => `keys/${readdirSync(at('keys'))[0] ?? ''}`,
    other: () => `manifests/${ids[0]}.json`,
    backups: [0, 1, 2],
  },
  {
    name: 'a manifest',
    object: () => `manifests/${ids[0]}.json`,
    other: () => `manifests/${ids[1]}.json`,
    backups: [0],
    whole: true,
  },
  {
    name: 'the newest manifest',
    object: () => `manifests/${ids[1]}.json`,
    other: () => `manifests/${ids[0]}.json`,
    backups: [1],
    whole: true,
  },
];

/** "<backup>:<artifact>" of what the report says cannot be read. */
function lostIn(damaged: readonly Damage[]): Set<string> {
  return new Set(
    damaged.flatMap(({ backups }) =>
      backups.flatMap(({ id, artifacts }) => artifacts.map(({ name }) => `${id}:${name}`)),
    ),
  );
}

describe('every kind of object, damaged in every way', () => {
  for (const kind of kinds) {
    for (const [harm, act] of Object.entries(harms)) {
      test(`${kind.name}: ${harm}`, async () => {
        const object = kind.object();
        const sizeBefore = statSync(at(object)).size;
        act(object, kind.other());
        const lost = await home.unreadable();
        const { damaged } = await home.validate();
        // A manifest that is gone is no backup: that it was one is told by what remembers it.
        const isGone = kind.whole === true && object.startsWith('manifests/') && harm === 'missing';
        assert.deepEqual(
          damaged.map((each) => each.object),
          isGone ? [] : [object],
        );
        assert.deepEqual(lostIn(damaged), lost);
        const [found] = damaged;
        if (found !== undefined) {
          assert.deepEqual(new Set(found.backups.map(({ id }) => id)), new Set(kind.backups.map((n) => ids[n])));
          assert.ok(found.backups.every(({ whole }) => whole === (kind.whole === true)));
          assert.equal(
            found.kind,
            harm === 'missing'
              ? 'missing'
              : kind.sizeOnly === true && statSync(at(object)).size !== sizeBefore
                ? 'size'
                : 'damaged',
          );
        }
        const quick = await home.validate({ level: 'quick' });
        const isHidden =
          object.startsWith('packs/') && statSync(at(object), { throwIfNoEntry: false })?.size === sizeBefore;
        assert.deepEqual(
          quick.damaged.map((each) => each.object),
          isGone || isHidden ? [] : [object],
        );

        const account = await home.integrity();
        const isSeen = kind.sizeOnly !== true || !existsSync(at(object)) || statSync(at(object)).size !== sizeBefore;
        assert.deepEqual(
          account.findings.map((each) => each.object),
          isSeen ? [object] : [],
        );
        assert.ok(account.findings.every(({ weight }) => weight === 'fault'));
      });
    }
  }

  test('nothing is found in the same repository once it is put back', async () => {
    assert.deepEqual((await home.validate({ level: 'deep' })).damaged, []);
    const { findings, orphans, young } = await home.integrity();
    assert.deepEqual([findings, orphans.count, young.count], [[], 0, 0]);
  });
});

describe('the repository as a whole', () => {
  const account = async (): Promise<string[]> => {
    const { findings } = await home.integrity();
    await restore();
    return findings.map(({ kind, weight, object }) => `${weight} ${kind} ${object}`);
  };

  test('a manifest put back from before, and one that was taken back', async () => {
    // The first, as it was; then the second disappears: this host remembers it.
    rmSync(at(`manifests/${ids[1]}.json`));
    assert.deepEqual(await account(), [`fault rollback manifests/${ids[1]}.json`]);
    rmSync(at(`manifests/${ids[0]}.json`));
    assert.deepEqual(await account(), [`fault chain manifests/${ids[0]}.json`]);
    // In trash it is accounted for, but nothing says that we moved it there.
    mkdirSync(at('trash'));
    copyFileSync(at(`manifests/${ids[1]}.json`), at(`trash/${ids[1]}.json`));
    rmSync(at(`manifests/${ids[1]}.json`));
    assert.deepEqual(await account(), [`fault hidden trash/${ids[1]}.json`]);
  });

  test('strays, orphans, a manifest in trash that is damaged, a changed rescue script', async () => {
    // The last one is doctor's.
    for (const stray of [
      'what',
      'packs/00/short.pack',
      'backups/nobody/facts',
      'manifests/README',
      'wal/1/x.wal',
      'locks/doctor/0123456789abcdef',
    ]) {
      mkdirSync(dirname(at(stray)), { recursive: true });
      writeFileSync(at(stray), 'x');
    }
    assert.deepEqual(
      await account(),
      ['backups/nobody/facts', 'manifests/README', 'packs/00/short.pack', 'wal/1/x.wal', 'what'].map(
        (name) => `warning stray ${name}`,
      ),
    );
    mkdirSync(at('trash'));
    writeFileSync(at(`trash/${ids[0]}.json`), '{}');
    assert.deepEqual(await account(), [`fault damaged trash/${ids[0]}.json`]);
    appendFileSync(at('rescue/rescue.mjs'), '\n');
    rmSync(at('rescue/README.md'));
    assert.deepEqual(await account(), ['fault missing rescue/README.md', 'warning differs rescue/rescue.mjs']);
  });

  test('evidence that was changed or copied does not count, and is named', async () => {
    const [piece = ''] = readdirSync(at(`evidence/${ids[0]}`));
    harms['flipped']?.(`evidence/${ids[0]}/${piece}`, '');
    copyFileSync(at(`evidence/${ids[0]}/${piece}`), at(`evidence/${ids[1]}/20991231T000000Z-drill-ok.json`));
    assert.deepEqual(
      await account(),
      [
        `warning untrusted evidence/${ids[0]}/${piece}`,
        `warning untrusted evidence/${ids[1]}/20991231T000000Z-drill-ok.json`,
      ].toSorted(),
    );
  });

  test('what no backup names is young at first, an orphan later', async () => {
    const orphan = 'packs/ab/abababababababababababababababab.pack';
    mkdirSync(dirname(at(orphan)), { recursive: true });
    copyFileSync(at(chosen['own'] ?? ''), at(orphan));
    const young = await home.integrity();
    assert.deepEqual([young.young.first, young.orphans.count, young.findings], [[orphan], 0, []]);
    utimesSync(at(orphan), new Date(Date.now() - 25 * 3_600_000), new Date(Date.now() - 25 * 3_600_000));
    const old = await home.integrity();
    assert.deepEqual([old.orphans.first, old.young.count], [[orphan], 0]);
    const patient = await home.integrity(26 * 3_600_000);
    assert.deepEqual([patient.young.first, patient.orphans.count], [[orphan], 0], 'as long as cleanup lets it rest');
  });

  test('an audit log with a gap, with a record that was changed, and one that ends too early', async () => {
    const [host = ''] = readdirSync(at('audit'));
    const records = readdirSync(at(`audit/${host}`))
      .map((name) => `audit/${host}/${name}`)
      .toSorted();
    const [first = '', last = ''] = [records[0], records.at(-1)];
    assert.ok(records.length > 1);
    rmSync(at(first));
    assert.deepEqual(await account(), [`fault chain ${first}`]);
    harms['flipped']?.(first, '');
    assert.deepEqual(await account(), [`fault damaged ${first}`]);
    rmSync(at(last));
    assert.deepEqual(await account(), [`fault chain ${last}`]);
  });
});
