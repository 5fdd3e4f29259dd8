/** Cleanup, undelete, hold and release against real backups: what stays, what goes, what is refused. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LifeboatError } from '../../src/lib/errors.ts';
import { formatBytes } from '../../src/lib/units.ts';
import { hold, release } from '../../src/operations/cleanup/hold.ts';
import { undelete } from '../../src/operations/cleanup/undelete.ts';
import { readNotes } from '../../src/repository/backups/notes.ts';
import { writeEvidence } from '../../src/repository/backups/evidence.ts';
import { acquireLease } from '../../src/repository/leases/acquire.ts';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { documents } from '../../src/ui/json/documents.ts';
import { runCli, type CliResult } from '../helpers/cli/run-cli.ts';
import { configOf, dayMs, keepLast, newHome, quiet, type CleanupHome } from '../helpers/repository/cleanup-home.ts';

/** So many backups, each with one file changed; ids oldest first. */
async function homeWith(count: number): Promise<{ home: CleanupHome; ids: string[] }> {
  const home = await newHome();
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    home.change(n);
    ids.push((await home.backup()).id);
  }
  return { home, ids };
}

const packs = (keys: readonly string[]): string[] => keys.filter((key) => key.startsWith('packs/'));

async function failure(work: Promise<unknown>): Promise<LifeboatError> {
  const error = await work.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof LifeboatError, String(error));
  return error;
}

test('into trash, then gone for good; a dry run says so before, to the byte, and writes nothing', async () => {
  const { home, ids } = await homeWith(4);
  using _ = home;
  const before = home.keys();
  const planned = await home.cleanup({ dryRun: true });
  assert.deepEqual(home.keys(), before);
  assert.ok(!existsSync(join(home.root, 'locks', 'cleanup')));
  assert.deepEqual(
    planned.backups.map(({ id, keep }) => [id, keep]),
    ids.map((id, n) => [id, n === 3]),
  );
  assert.deepEqual(
    [planned.outcome, planned.freed, planned.deleted, planned.stopped],
    ['planned', { packs: 0, bytes: 0 }, [], undefined],
  );

  const done = await home.cleanup();
  assert.deepEqual([done.backups, done.laterBytes], [planned.backups, planned.laterBytes]);
  const unmoved = (keys: readonly string[]): string[] => keys.filter((key) => !/^(trash|manifests|notes)\//.test(key));
  assert.deepEqual(unmoved(home.keys()), unmoved(before));
  assert.deepEqual(await home.ids(), [ids[3]]);

  await home.age(2 * dayMs);
  const trashed = home.keys();
  const sizes = new Map(trashed.map((key) => [key, statSync(join(home.root, key)).size]));
  const bytesOf = (keys: readonly string[]): number => keys.reduce((sum, key) => sum + (sizes.get(key) ?? 0), 0);
  const told: string[] = [];
  const foretold = await home.cleanup({ dryRun: true });
  const ended = await home.cleanup(
    {},
    {
      onDeleted: async (deleted) => {
        for (const { id, seal } of deleted) {
          assert.ok(readFileSync(join(home.root, 'trash', `${id}.json`), 'utf8').includes(seal), 'told before it goes');
          told.push(id);
        }
      },
    },
  );
  const gone = trashed.filter((key) => !home.keys().includes(key));
  assert.deepEqual(told.toSorted(), ids.slice(0, 3).toSorted());
  assert.deepEqual([foretold.deleted, foretold.freed, foretold.laterBytes], [ended.deleted, ended.freed, 0]);
  assert.deepEqual(ended.freed, {
    packs: packs(gone).length,
    bytes: bytesOf(gone.filter((key) => !key.startsWith('trash/'))),
  });
  assert.equal(planned.laterBytes, bytesOf(packs(gone)));
  assert.ok(packs(gone).length > 0 && packs(home.keys()).length > 0);
  for (const id of ids.slice(0, 3)) {
    assert.deepEqual(
      home.keys().filter((key) => key.includes(id)),
      [],
    );
  }
  assert.equal(await home.readAll(), 1);
});

test("evidence and notes go with their backup; what is no backup's stays; windows end the same", async () => {
  const { home, ids } = await homeWith(3);
  using _ = home;
  const repository = await home.open();
  const first = await repository.readManifest(ids[0] ?? '');
  await writeEvidence(repository, first, {
    level: 'stored',
    result: 'ok',
    startedMs: Date.now(),
    finishedMs: Date.now(),
    compared: [],
    counts: {},
    bytes: 1,
    steps: [],
  });
  const loaded = await configOf(home.folder);
  await hold(loaded, { id: first.id, tags: ['deploy'] }, quiet());
  await release(loaded, { id: first.id, tags: [] }, quiet());
  const strangers = [
    'packs/README',
    'packs/00/00.pack',
    'backups/notes.txt',
    'evidence/x/y',
    'wal/1/00000001/00000000/000000010000000000000001.wal',
    'audit/host/00000000000000000001.json',
  ];
  for (const key of strangers) await repository.storage.put(key, [Buffer.from('ours?')]);
  const mine = (): string[] => home.keys().filter((key) => /^(evidence|notes)\/2/.test(key));
  assert.equal(mine().length, 3);
  await home.cleanup({}, { window: 1 });
  assert.equal(mine().length, 5, 'in trash it keeps them, and is recorded as moved, as the second is');
  await home.age(2 * dayMs);
  const once = await home.cleanup({ dryRun: true });
  const { freed, deleted, laterBytes } = await home.cleanup({}, { window: 1 });
  assert.deepEqual([freed, deleted, laterBytes], [once.freed, once.deleted, once.laterBytes]);
  assert.deepEqual(mine(), []);
  assert.deepEqual(
    strangers.filter((key) => !home.keys().includes(key)),
    [],
  );
  assert.equal(await home.readAll(), 1);
});

test('undelete brings a backup back, on hold, until it is released; not when a pack is gone', async () => {
  const { home, ids } = await homeWith(3);
  using _ = home;
  const [first = '', second = '', third = ''] = ids;
  await home.cleanup();
  assert.deepEqual(await home.ids(), [third]);
  const loaded = await configOf(home.folder);
  assert.equal((await failure(undelete(loaded, { id: '2', hold: true }, quiet()))).code, 'usage');
  const unknown = await failure(undelete(loaded, { id: third, hold: true }, quiet()));
  assert.deepEqual([unknown.code, unknown.state], ['not_found', 'nothing was changed']);
  assert.ok(unknown.hint?.includes(first));

  assert.deepEqual(await undelete(loaded, { id: second, hold: true }, quiet()), {
    id: second,
    target: 'main',
    held: true,
    warnings: [],
  });
  assert.deepEqual(await home.ids(), [second, third]);
  assert.ok(!home.keys().includes(`trash/${second}.json`));
  assert.equal(await home.readAll(), 2);
  const again = await home.cleanup();
  assert.deepEqual(
    again.backups.map(({ keep, reasons }) => [keep, reasons[0]]),
    [
      [true, 'on hold: taken back from trash'],
      [true, 'newest files backup of main'],
    ],
  );
  await release(loaded, { id: second, tags: [] }, quiet());
  await home.cleanup();
  assert.deepEqual(await home.ids(), [third]);

  // A pack that only the first needs.
  const needed = await home.cleanup({ dryRun: true });
  assert.ok(needed.laterBytes > 0);
  await home.age(2 * dayMs);
  renameSync(join(home.root, 'trash', `${first}.json`), join(home.folder, 'kept.json'));
  // Else what it needs stays.
  await (await home.open()).seen.forget('main', new Set([first]));
  await home.cleanup();
  mkdirSync(join(home.root, 'trash'), { recursive: true });
  renameSync(join(home.folder, 'kept.json'), join(home.root, 'trash', `${first}.json`));
  const error = await failure(undelete(loaded, { id: first, hold: false }, quiet()));
  assert.deepEqual([error.code, error.state], ['integrity', 'nothing was changed']);
  assert.deepEqual(await home.ids(), [third]);
});

test('a move cut short: the copy is told from the backup, and the backup stays whole', async () => {
  const { home, ids } = await homeWith(2);
  using _ = home;
  const { storage } = await home.open();
  await storage.put(`trash/${ids[1]}.json`, [await storage.get(`manifests/${ids[1]}.json`)]);
  await home.age(2 * dayMs);
  const { deleted } = await home.cleanup();
  assert.deepEqual(deleted, []);
  assert.ok(!home.keys().includes(`trash/${ids[1]}.json`));
  // The first was moved just now; its own copy is found live again by hand.
  await storage.put(`manifests/${ids[0]}.json`, [await storage.get(`trash/${ids[0]}.json`)]);
  await undelete(await configOf(home.folder), { id: ids[0] ?? '', hold: false }, quiet());
  assert.deepEqual(await home.ids(), ids);
  assert.equal(await home.readAll(), 2);
});

test('held and tagged backups stay; only authentic notes count, and the greatest name wins', async () => {
  const { home, ids } = await homeWith(4);
  using _ = home;
  const [first = '', second = '', third = ''] = ids;
  const loaded = await configOf(home.folder);
  const held = await hold(loaded, { id: first, reason: 'court case', tags: [] }, quiet());
  assert.deepEqual(held, { id: first, target: 'main', held: true, reason: 'court case', tags: [], warnings: [] });
  await hold(loaded, { id: second, tags: ['keep', 'deploy'] }, quiet());
  assert.deepEqual((await release(loaded, { id: second, tags: ['deploy'] }, quiet())).tags, ['keep']);
  await hold(loaded, { id: third, tags: [] }, quiet());
  await release(loaded, { id: third, tags: [] }, quiet());
  const repository = await home.open();
  const reasons = async (): Promise<Record<string, string | undefined>> =>
    Object.fromEntries(
      (await home.cleanup({ dryRun: true })).backups.map(({ id, keep, reasons: why }) => [
        id,
        keep ? why.join('; ') : 'goes',
      ]),
    );
  assert.deepEqual(await reasons(), {
    [first]: 'on hold: court case',
    [second]: 'tagged keep',
    [third]: 'goes',
    [ids[3] ?? '']: 'newest files backup of main; the last one',
  });

  // A release of another backup under this one's name, and one that was changed.
  const [newest = ''] = home
    .keys()
    .filter((key) => key.startsWith(`notes/${third}/`))
    .toReversed();
  await repository.storage.put(`notes/${first}/29990101T000000Z-ffff.json`, [await repository.storage.get(newest)]);
  assert.equal((await readNotes(repository, first)).note?.hold?.reason, 'court case');
  const { warnings } = await home.cleanup({ dryRun: true });
  assert.match(warnings[0] ?? '', /29990101T000000Z-ffff\.json does not count: .* was written as/);
  // A note written by a clock that is ahead does not shut out later ones.
  await release(loaded, { id: first, tags: [] }, quiet());
  assert.equal((await readNotes(repository, first)).note?.hold, undefined);
  assert.equal((await reasons())[first], 'goes');
  // One that cannot be read may have said "hold".
  const [last = ''] = home
    .keys()
    .filter((key) => key.startsWith(`notes/${first}/`) && !key.includes('/2999'))
    .toReversed();
  writeFileSync(
    join(home.root, last),
    readFileSync(join(home.root, last), 'utf8').replace('"tags": []', '"tags": [ ]'),
  );
  assert.equal((await reasons())[first], 'on hold: court case; it has a note that cannot be read: it may be on hold');
});

test('the newest proven stays; a collapse stops deletion until acknowledged; half a run is the most', async () => {
  const { home, ids } = await homeWith(4);
  using _ = home;
  const repository = await home.open();
  const proven = await repository.readManifest(ids[0] ?? '');
  await writeEvidence(repository, proven, {
    level: 'drill',
    result: 'ok',
    startedMs: Date.now(),
    finishedMs: Date.now(),
    compared: [],
    counts: {},
    bytes: 1,
    steps: [],
  });
  const { backups, warnings } = await home.cleanup({ dryRun: true, maxDelete: undefined });
  assert.deepEqual(
    backups.map(({ keep, reasons }) => (keep ? reasons[0] : 'goes')),
    ['newest proven files backup of main', 'goes', 'goes', 'newest files backup of main'],
  );
  assert.deepEqual(warnings, []);
  assert.equal((await home.cleanup({ dryRun: true, maxDelete: 1 })).backups.filter(({ keep }) => !keep).length, 1);

  for (let n = 1; n < 4; n++) rmSync(join(home.folder, 'data', `file-${n}`));
  const { id } = await home.backup();
  const stopped = await home.cleanup();
  assert.equal(stopped.backups.filter(({ keep }) => !keep).length, 0);
  assert.match(
    stopped.warnings[0] ?? '',
    new RegExp(`deletion is stopped: the newest files backup, ${id}, has read .* lifeboat cleanup --acknowledge ${id}`),
  );
  assert.equal((await home.ids()).length, 5);
  const { backups: after } = await home.cleanup({ acknowledge: [id] });
  assert.deepEqual(
    after.filter(({ keep }) => keep).map((each) => each.id),
    [ids[0], id],
  );
  assert.equal(await home.readAll(), 2);
});

test('a manifest that cannot be read stops the freeing of space, not the rest', async () => {
  const { home, ids } = await homeWith(3);
  using _ = home;
  await home.cleanup({ maxDelete: 1 });
  await home.age(2 * dayMs);
  const broken = join(home.root, 'manifests', `${ids[1]}.json`);
  const good = readFileSync(broken);
  writeFileSync(broken, good.toString().replace('"warnings": 0', '"warnings": 1'));
  const stored = packs(home.keys());
  const { stopped, warnings, deleted, freed } = await home.cleanup();
  assert.match(stopped ?? '', /^space is not freed: it cannot be told what manifests\/.* needs: .*seal does not match/);
  assert.ok(warnings.some((warning) => warning.includes(`backup ${ids[1]} is left alone`)));
  assert.deepEqual([deleted, freed.packs, packs(home.keys())], [[], 0, stored]);
  writeFileSync(broken, good);
  // A table of packs that is lost is as bad: nobody can tell what the backup needs.
  const table = join(home.root, 'backups', ids[2] ?? '', 'packs');
  renameSync(table, join(home.folder, 'table'));
  assert.match((await home.cleanup()).stopped ?? '', /backups\/.*\/packs is missing/);
  renameSync(join(home.folder, 'table'), table);
  assert.equal((await home.cleanup()).stopped, undefined);
  assert.equal(await home.readAll(), 1);
});

test(
  'refused with nothing changed: clocks that differ, too short a ' +
    'grace time, another cleanup, a key that does not open all',
  async () => {
    const { home } = await homeWith(2);
    using _ = home;
    const before = home.keys();
    const storage = openLocalStorage(home.root);
    const skewed = await home.open({
      location: storage.location,
      capabilities: storage.capabilities,
      put: async (...call) => storage.put(...call),
      get: async (...call) => storage.get(...call),
      stat: async (key) => ({ ...(await storage.stat(key)), modifiedMs: Date.now() - 11 * 60_000 }),
      list: (...call) => storage.list(...call),
      remove: async (...call) => storage.remove(...call),
      space: async () => storage.space(),
      removeStaleTemporaries: async (...call) => storage.removeStaleTemporaries(...call),
      close: async () => storage.close(),
    });
    const late = await failure(home.cleanup({}, {}, skewed.storage));
    assert.match(late.message, /differ by 11 minutes/);
    assert.deepEqual([late.code, late.state], ['usage', 'nothing was changed']);
    assert.match((await failure(home.cleanup({ graceMs: 3_599_000 }))).hint ?? '', /at least 1h/);
    {
      await using _lease = await acquireLease(storage, { scope: 'cleanup', command: 'undelete' });
      assert.equal((await failure(home.cleanup())).code, 'locked');
      assert.equal((await home.cleanup({ dryRun: true })).outcome, 'planned');
      assert.equal(
        (await failure(hold(await configOf(home.folder), { id: 'latest', tags: [] }, quiet()))).code,
        'locked',
      );
    }
    const { files } = keepLast(1).get('main') ?? assert.fail();
    assert.deepEqual(
      (
        await home.cleanup({}, { policies: new Map([['other', { database: files, redis: files, files }]]) })
      ).backups.map(({ keep }) => keep),
      [true, true],
    );
    const isData = (key: string): boolean => !key.startsWith('audit/') && !key.includes('key');
    const id = (await home.ids())[0] ?? '';
    rmSync(join(home.root, 'backups', id, 'keys.json'));
    for (const key of home.keys().filter((each) => each.startsWith('keys/') || each.endsWith('/keys.json'))) {
      renameSync(join(home.root, key), join(home.folder, key.replaceAll('/', '-')));
    }
    const blind = await failure(home.cleanup());
    assert.deepEqual([blind.code, blind.state], ['key', 'nothing was changed']);
    assert.deepEqual(home.keys().filter(isData), before.filter(isData));
  },
);

test('by the command line: table, JSON by its schema, exit codes, an audit record of what was deleted', async () => {
  const { home, ids } = await homeWith(3);
  using _ = home;
  const [first = '', second = '', third = ''] = ids;
  writeFileSync(
    join(home.folder, 'lifeboat.config.json'),
    JSON.stringify({
      repository: `file://${home.root}`,
      encryption: { key: 'ab'.repeat(32) },
      stateDir: join(home.folder, 'state'),
      targets: { main: { files: { paths: ['data'] }, retention: { files: { keepLast: 1, minBackups: 1 } } } },
    }),
  );
  const cli = async (line: string, exitCode = 0): Promise<CliResult> => {
    const result = await runCli(line.split(' '), { cwd: home.folder });
    assert.equal(result.exitCode, exitCode, `${line}: ${result.stdout}${result.stderr}`);
    return result;
  };
  const documentOf = async (line: string, name: 'cleanup' | 'undelete' | 'hold' | 'release'): Promise<unknown> =>
    documents[name].parse(JSON.parse((await cli(`${line} --json`)).stdout));
  await cli('cleanup --grace 30m', 2);
  // Half of three is one.
  const dry = await cli('cleanup --dry-run --max-delete 1', 3);
  // What the first shares with the later ones depends on where the random data was cut.
  const planned = documents.cleanup.parse(JSON.parse((await cli('cleanup --dry-run --max-delete 1 --json', 3)).stdout));
  const freed = formatBytes(planned.backups.find(({ id }) => id === first)?.bytes ?? assert.fail());
  assert.match(
    dry.stdout,
    new RegExp(`^${first} .* would delete +${freed.replace('.', '\\.')} +not one of the last 1$`, 'm'),
  );
  assert.match(dry.stdout, new RegExp(`^${second} .* keep +one run deletes no more; the next one goes on$`, 'm'));
  assert.match(
    dry.stdout,
    /^1 backup would move to trash; for 24 h 00 min they can be taken back with: lifeboat undelete <id>$/m,
  );
  assert.match(dry.stderr, /raise --max-delete/);
  assert.deepEqual(await home.ids(), ids);
  await documentOf(`hold ${second} --reason audit --tag deploy`, 'hold');
  await documentOf('cleanup', 'cleanup');
  assert.deepEqual(await home.ids(), [second, third]);
  await documentOf(`release ${second} --tag deploy`, 'release');
  await documentOf(`undelete ${first}`, 'undelete');
  assert.deepEqual(await home.ids(), ids);
  await cli(`undelete ${first}`, 10);
  await cli(`release ${first}`);
  await cli('cleanup --max-delete 9');
  await home.age(2 * dayMs);
  const { deleted } = (await documentOf('cleanup --max-delete 9', 'cleanup')) as { deleted: readonly { id: string }[] };
  assert.deepEqual(deleted.map(({ id }) => id).toSorted(), [first, second].toSorted());
  const { records } = documents.audit.parse(JSON.parse((await cli('audit --json')).stdout));
  assert.deepEqual(
    records.flatMap((each) => each.deleted ?? []),
    deleted,
  );
  assert.equal(await home.readAll(), 1);
});
