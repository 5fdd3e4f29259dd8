import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { cp, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readAllEvidence, writeEvidence, type EvidenceDraft } from '../../../../src/repository/backups/evidence.ts';
import {
  parseEvidenceName,
  type EvidenceLevel,
  type EvidenceResult,
} from '../../../../src/repository/backups/evidence-record.ts';
import { sealRecord } from '../../../../src/repository/keys/sealed-records.ts';
import type { ListedManifest } from '../../../../src/repository/manifests/listing.ts';
import type { Repository } from '../../../../src/repository/repository.ts';
import { signerFromSeed } from '../../../../src/repository/box/signing.ts';
import { nextSample } from '../../../../src/operations/validate/sample.ts';
import { judge, proofStateOf, proofStates } from '../../../../src/operations/proof/state.ts';
import { streamArtifact } from '../../../helpers/repository/chunk-repository.ts';
import { backUp, encryption, testRepository, type TestRepository } from '../../../helpers/repository/repository.ts';

const key = encryption({ key: '0f'.repeat(32) });
const day = (n: number, second = 0): number => Date.UTC(2026, 0, n, 3, 0, second);

function draft(level: EvidenceLevel, result: EvidenceResult, finishedMs: number): EvidenceDraft {
  return {
    level,
    result,
    startedMs: finishedMs - 90_000,
    finishedMs,
    compared: ['packs with the indexes'],
    counts: { packs: 3 },
    bytes: 1000,
    steps: [{ name: 'read', durationMs: 89_000 }],
  };
}

async function oneBackup(
  home: TestRepository,
  config = key,
): Promise<{ repository: Repository; backup: ListedManifest }> {
  const repository = await home.create(config);
  const { id } = await backUp(repository, [streamArtifact('one', [Buffer.from('content')])]);
  return { repository, backup: await repository.readManifest(id) };
}

test('evidence says what was done, is bound to the manifest, and makes the state of its backup', async () => {
  using home = testRepository();
  const { repository, backup } = await oneBackup(home);
  assert.equal((await proofStateOf(repository, backup))?.state, 'stored');
  const { object } = await writeEvidence(repository, backup, {
    ...draft('stored', 'ok', day(2)),
    damaged: [],
    notes: ['a note'],
    versions: { pg_restore: '15.1' },
  });
  assert.equal(object, `evidence/${backup.id}/20260102T030000Z-stored-ok.json`);
  const [read] = await readAllEvidence(repository, backup);
  assert.equal(read?.evidence?.manifestSeal, backup.seal);
  assert.equal(read?.evidence?.durationMs, 90_000);
  assert.equal(read?.evidence?.versions['pg_restore'], '15.1');
  const standing = await proofStateOf(repository, backup);
  assert.equal(standing?.state, 'checked');
  assert.deepEqual(standing?.checked, { at: '2026-01-02T03:00:00.000Z', durationMs: 90_000, level: 'stored', object });
  // The same from one listing of all.
  assert.deepEqual(await (await proofStates(repository))(backup), standing);
});

test('three of each level are kept, the newest; two in one second get two names', async () => {
  using home = testRepository();
  const { repository, backup } = await oneBackup(home);
  for (const n of [1, 2, 3, 4, 5]) {
    await writeEvidence(repository, backup, draft('stored', n === 4 ? 'failed' : 'ok', day(n)));
  }
  await writeEvidence(repository, backup, draft('quick', 'ok', day(1)));
  await writeEvidence(repository, backup, draft('quick', 'ok', day(1)));
  assert.deepEqual((await readdir(join(home.root, 'evidence', backup.id))).toSorted(), [
    '20260101T030000Z-quick-ok.json',
    '20260101T030001Z-quick-ok.json',
    '20260103T030000Z-stored-ok.json',
    '20260104T030000Z-stored-failed.json',
    '20260105T030000Z-stored-ok.json',
  ]);
});

test('forged, unsigned, renamed, changed or foreign evidence does not count, and pushes nothing out', async () => {
  using home = testRepository();
  const { repository, backup } = await oneBackup(home);
  const folder = join(home.root, 'evidence', backup.id);
  const good = await writeEvidence(repository, backup, draft('quick', 'ok', day(1)));
  const other = await backUp(repository, [streamArtifact('one', [Buffer.from('content')])]);
  const foreign = await writeEvidence(
    repository,
    await repository.readManifest(other.id),
    draft('drill', 'ok', day(2)),
  );
  const goodFile = join(home.root, good.object);
  await cp(join(home.root, foreign.object), join(folder, '20260102T030000Z-drill-ok.json'));
  await cp(goodFile, join(folder, '20260103T030000Z-drill-ok.json'));
  await writeFile(
    join(folder, '20260104T030000Z-drill-ok.json'),
    (await readFile(goodFile, 'utf8')).replaceAll('"quick"', '"drill"'),
  );
  const self = `evidence/${backup.id}/20260105T030000Z-drill-ok.json`;
  const members = { backup: backup.id, manifestSeal: backup.seal, ...draft('drill', 'ok', day(5)) };
  await repository.storage.put(self, [
    sealRecord(self, members, {
      dataKey: { id: Buffer.alloc(16, 7), key: Buffer.alloc(32) },
      signer: signerFromSeed(Buffer.alloc(32)),
    }),
  ]);
  // Of an earlier manifest of the same id: our own seal, but of other bytes.
  const before = `evidence/${backup.id}/20260106T030000Z-drill-ok.json`;
  await repository.storage.put(before, [
    sealRecord(
      before,
      {
        ...members,
        manifestSeal: 'ab'.repeat(32),
        startedAt: '2026-01-06T03:00:00Z',
        finishedAt: '2026-01-06T03:00:00Z',
        durationMs: 1,
        host: 'x',
        versions: {},
        steps: [],
        damaged: [],
        damagedCount: 0,
        notes: [],
      },
      await repository.writeKey(),
    ),
  ]);
  await writeFile(join(folder, '20260107T030000Z-drill-ok.json'), '');
  const read = await readAllEvidence(repository, backup);
  assert.deepEqual(
    read.map(({ object, evidence }) => [parseEvidenceName(object)?.at.slice(0, 10), evidence !== undefined]),
    [['2026-01-01', true], ...[2, 3, 4, 5, 6, 7].map((n) => [`2026-01-0${n}`, false])],
  );
  assert.match(read[1]?.reason ?? '', /was written as/);
  assert.match(read[3]?.reason ?? '', /seal does not match/);
  assert.match(read[5]?.reason ?? '', /another manifest/);
  assert.equal((await proofStateOf(repository, backup))?.state, 'stored');
  await writeEvidence(repository, backup, draft('drill', 'ok', day(1)));
  assert.equal((await proofStateOf(repository, backup))?.state, 'proven');
  assert.equal((await readdir(folder)).length, 8);
});

test('what is opened by an age identity needs a signature of a trusted writer', async () => {
  using home = testRepository();
  const age = await import('age-encryption');
  const identity = await age.generateIdentity();
  const recipient = await age.identityToRecipient(identity);
  const repository = await home.create(encryption({ recipients: [recipient], identity }));
  const { id } = await backUp(repository, [streamArtifact('one', [Buffer.from('content')])]);
  const backup = await repository.readManifest(id);
  await writeEvidence(repository, backup, draft('drill', 'ok', day(1)));
  assert.equal((await proofStateOf(repository, backup))?.state, 'proven');
  const elsewhere = await home.open(encryption({ identity }), 'b');
  const seen = await elsewhere.readManifest(id);
  assert.equal(seen.trust, 'untrusted');
  assert.equal((await proofStateOf(elsewhere, seen))?.state, 'stored');
  assert.match((await readAllEvidence(elsewhere, seen))[0]?.reason ?? '', /trustedKeys/);
  const trusting = await home.open(encryption({ identity, trustedKeys: [backup.signedBy ?? ''] }), 'b');
  assert.equal((await proofStateOf(trusting, await trusting.readManifest(id)))?.state, 'proven');
});

test('without encryption evidence is sealed too: a changed count is noticed', async () => {
  using home = testRepository();
  const { repository, backup } = await oneBackup(home, encryption({ enabled: false }));
  const { object } = await writeEvidence(repository, backup, draft('deep', 'ok', day(1)));
  assert.equal((await proofStateOf(repository, backup))?.state, 'decoded');
  const path = join(home.root, object);
  await writeFile(`${path}.new`, (await readFile(path, 'utf8')).replace('"packs": 3', '"packs": 4'));
  await rename(`${path}.new`, path);
  assert.equal((await proofStateOf(repository, backup))?.state, 'stored');
});

test('without a key nothing is told of the state', async () => {
  using home = testRepository();
  const { backup } = await oneBackup(home);
  const keyless = await home.open(encryption({}), 'b');
  assert.equal(await proofStateOf(keyless, await keyless.readManifest(backup.id)), undefined);
});

/** Which state and whether failing, after events in this order, one a day: "stored+ drill- …". */
function after(events: string): string {
  const newest = new Map<EvidenceLevel, Record<string, unknown>>();
  for (const [n, event] of events
    .split(' ')
    .filter((each) => each !== '')
    .entries()) {
    const level = event.slice(0, -1) as EvidenceLevel;
    const result = event.endsWith('+') ? 'ok' : 'failed';
    const evidence = { ...draft(level, result, 0), finishedAt: new Date(day(n + 1)).toISOString(), durationMs: 1 };
    newest.set(level, { ...newest.get(level), [result]: { object: `${n}-${result}.json`, evidence } });
  }
  const { state, failing } = judge(newest);
  return `${state}${failing ? ' failing' : ''}`;
}

test('states: each success counts until a failure that bears on it', () => {
  const table: readonly [string, string][] = [
    ['', 'stored'],
    ['quick+', 'stored'],
    ['sample+', 'stored'],
    ['restore+', 'stored'],
    ['stored+', 'checked'],
    ['deep+', 'decoded'],
    ['drill+', 'proven'],
    ['drill+ quick+ sample+', 'proven'],
    ['drill+ restore-', 'proven'],
    // The same or a higher level fails later.
    ['stored+ stored-', 'stored failing'],
    ['stored+ deep-', 'stored failing'],
    ['drill+ drill-', 'stored failing'],
    ['stored- stored+', 'checked'],
    // The bytes are good, yet it does not restore.
    ['drill- stored+', 'checked failing'],
    ['drill- deep+', 'decoded failing'],
    ['drill- stored+ drill+', 'proven'],
    // A lost object breaks all, until it is found again.
    ['drill+ quick-', 'stored failing'],
    ['drill+ quick- quick+', 'proven'],
    ['drill+ sample-', 'stored failing'],
    ['drill+ sample- quick+', 'stored failing'],
    ['drill+ sample- stored+', 'proven'],
    ['drill+ stored- drill-', 'stored failing'],
  ];
  for (const [events, expected] of table) assert.equal(after(events), expected, events);
});

test('a proof that is dated ahead of all clocks is none: nothing found until then could refute it', async () => {
  using home = testRepository();
  for (const config of [key, encryption({ enabled: false })]) {
    rmSync(home.root, { recursive: true, force: true });
    const { repository, backup } = await oneBackup(home, config);
    const { object } = await writeEvidence(
      repository,
      backup,
      draft('drill', 'ok', Date.UTC(9999, 11, 31, 23, 59, 59)),
    );
    const { object: failure } = await writeEvidence(repository, backup, draft('drill', 'failed', Date.now()));
    const state = await proofStateOf(repository, backup);
    assert.deepEqual([state?.state, state?.failing, state?.lastFailure?.object], ['stored', true, failure]);
    const read = (await readAllEvidence(repository, backup)).find((each) => each.object === object);
    assert.match(read?.reason ?? '', /no clock shows yet/);
    // Clocks may differ.
    await writeEvidence(repository, backup, draft('drill', 'ok', Date.now() + 5 * 60_000));
    assert.equal((await proofStateOf(repository, backup))?.state, 'proven');
  }
});

test('planted samples of the last moment leave the order of parts alone', async () => {
  using home = testRepository();
  const { repository, backup } = await oneBackup(home);
  for (let n = 0; n < 25; n++) {
    await repository.storage.put(`evidence/${backup.id}/99991231T2359${10 + n}Z-sample-ok.json`, [Buffer.from('{}')]);
  }
  const last = { ...draft('sample', 'ok', Date.now()), counts: { samplePart: 3, sampleParts: 10 } };
  await writeEvidence(repository, backup, last);
  assert.deepEqual(await nextSample(repository, 10), { part: 4, parts: 10 });
});
