import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Chalk } from 'chalk';
import type { z } from 'zod';
import type { BackupResult } from '../../../src/operations/backup/request.ts';
import type { CleanupResult, CleanupWal, HoldResult, UndeleteResult } from '../../../src/operations/cleanup/request.ts';
import type { IntegrityFinding, RepositoryAccount } from '../../../src/operations/integrity/request.ts';
import { doctorOperation } from '../../../src/operations/doctor/doctor.ts';
import { integrityOperation } from '../../../src/operations/integrity/integrity.ts';
import { validateOperation } from '../../../src/operations/validate/validate.ts';
import { listOperation } from '../../../src/operations/list/list.ts';
import type { BackupSummary, ListResult, ShowResult } from '../../../src/operations/list/request.ts';
import type { RestoreResult, RestoredComponent, UndoRestoreResult } from '../../../src/operations/restore/request.ts';
import type {
  InitResult,
  KeysChangeResult,
  KeysGenerateResult,
  KeysListResult,
  Lease,
  UnlockResult,
} from '../../../src/operations/setup/request.ts';
import type { Damage, ValidateResult } from '../../../src/operations/validate/request.ts';
import { backupView } from '../../../src/ui/backup-view.ts';
import { cleanupView } from '../../../src/ui/cleanup-view.ts';
import { doctorView } from '../../../src/ui/doctor-view.ts';
import { exportView } from '../../../src/ui/export-view.ts';
import { initView } from '../../../src/ui/init-view.ts';
import { integrityView } from '../../../src/ui/integrity-view.ts';
import { holdView, releaseView, undeleteView } from '../../../src/ui/hold-view.ts';
import { documents, type DocumentName } from '../../../src/ui/json/documents.ts';
import { keysChangeView, keysGenerateView, keysListView } from '../../../src/ui/keys-view.ts';
import type { AuditResult } from '../../../src/operations/audit/audit.ts';
import type { EmergencyStatusResult } from '../../../src/operations/emergency/status.ts';
import { listView } from '../../../src/ui/list-view.ts';
import { restoreView, undoRestoreView } from '../../../src/ui/restore-view.ts';
import { showView } from '../../../src/ui/show-view.ts';
import { unlockView } from '../../../src/ui/unlock-view.ts';
import { validateView } from '../../../src/ui/validate-view.ts';
import { documentOf, type View } from '../../../src/ui/view.ts';
import type { DoctorCheck, DoctorResult } from '../../../src/operations/doctor/request.ts';
import type { ExportResult } from '../../../src/operations/restore/export.ts';
import type { EmergencyResult } from '../../../src/operations/emergency/request.ts';

/** The schemas and the types of results say the same: what a schema lets through is a result. */
type Fits<Name extends DocumentName, Result> = z.infer<(typeof documents)[Name]> extends Result ? true : never;
const fits: [
  Fits<'backup', BackupResult>,
  Fits<'list', ListResult>,
  Fits<'show', ShowResult>,
  Fits<'restore', RestoreResult>,
  Fits<'validate', ValidateResult>,
  Fits<'integrity', RepositoryAccount>,
  Fits<'export', ExportResult>,
  Fits<'init', InitResult>,
  Fits<'keys-list', KeysListResult>,
  Fits<'unlock', UnlockResult>,
  Fits<'cleanup', CleanupResult>,
  Fits<'undelete', UndeleteResult>,
  Fits<'hold', HoldResult>,
  Fits<'audit', AuditResult>,
  Fits<'emergency-status', EmergencyStatusResult>,
  Fits<'emergency-restore', EmergencyResult>,
] = [true, true, true, true, true, true, true, true, true, true, true, true, true, true, true, true];

const sizes = { readBytes: 3 * 1024 ** 3, newBytes: 5 * 1024 ** 2, storedBytes: 1536 };
const times = { startedAt: '2026-01-02T03:04:05.123Z', finishedAt: '2026-01-02T03:05:05.000Z' };
const summary: BackupSummary = {
  ...sizes,
  ...times,
  id: '20260102T030405Z-main-full-00c0ffee',
  target: 'main',
  type: 'full',
  label: 'before\nmigration',
  tags: ['deploy'],
  host: 'web1',
  components: ['database', 'redis'],
  encrypted: true,
  trust: 'unsigned',
  warnings: 2,
};
const lease: Lease = {
  scope: 'backup-main',
  id: 'x',
  command: 'backup',
  host: 'web1',
  pid: 7,
  user: 'root',
  since: times.startedAt,
  stale: true,
};

async function check<R>(name: DocumentName, view: View<R>, result: R, ...patterns: RegExp[]): Promise<void> {
  assert.equal(view.schema, `lifeboat.${name}/v1`);
  const document: unknown = JSON.parse(JSON.stringify(documentOf(result, view)));
  assert.deepEqual(documents[name].parse(document), document);
  const text = await view.text(result, new Chalk({ level: 0 }));
  for (const pattern of patterns) assert.match(text, pattern);
  assert.doesNotMatch(text, /undefined|\[object|NaN/);
  assert.doesNotMatch(text, /[^\S\n]\n/, 'no blanks at the end of lines');
}

describe('text and document of each result', () => {
  test('the schemas fit the types', () => assert.ok(fits.every((each) => each)));

  test('backup', async () => {
    const components = [
      {
        name: 'database',
        kind: 'postgres',
        serverVersion: '15.18',
        durationMs: 61_000,
        summary: '2 databases',
        ...sizes,
      },
    ];
    const done: BackupResult = {
      outcome: 'done',
      id: summary.id,
      target: 'main',
      type: 'full',
      repository: 's3://b/p',
      ...times,
      durationMs: 61_000,
      encrypted: false,
      components,
      warnings: ['a file changed'],
    };
    await check(
      'backup',
      backupView,
      done,
      /database +15\.18 +3\.0 GiB +5\.0 MiB +1\.5 KiB +1 min 01 s +2 databases/,
      /00c0ffee is stored in s3:\/\/b\/p \(not encrypted\), with 1 warning/,
    );
    await check<BackupResult>(
      'backup',
      backupView,
      { outcome: 'skipped', target: 'main', reason: 'another backup runs' },
      /^skipped: another/,
    );
    const planned = {
      name: 'redis',
      kind: 'redis',
      identity: { host: 'h' },
      estimatedBytes: 10,
      problems: [{ message: 'no right', hint: 'grant it', fatal: true }],
    };
    await check<BackupResult>(
      'backup',
      backupView,
      { outcome: 'planned', target: 'main', type: 'full', repository: 'file:///x', components: [planned] },
      /^would take a full backup/,
      /would fail: redis: no right\n +hint: grant it/,
    );
  });

  test('list shows the zone, what is odd, and never breaks a line', async () => {
    await check<ListResult>(
      'list',
      listView,
      {
        repository: 'file:///x',
        backups: [summary],
        damaged: [{ object: 'manifests/x.json', reason: 'the seal\ndoes not hold' }],
      },
      /TAKEN \(UTC\)/,
      /2026-01-02 03:05:05Z/,
      /unsigned, warnings: 2, #deploy, before\\u000amigration/,
      /damaged: manifests\/x\.json: the seal\\u000adoes/,
    );
    await check<ListResult>(
      'list',
      listView,
      { repository: 'file:///x', backups: [], damaged: [] },
      /^no backups in file:\/\/\/x$/,
    );
    assert.equal(listOperation.exitCode?.({ repository: '', backups: [], damaged: [{ object: 'x', reason: 'y' }] }), 3);
    assert.equal(listOperation.exitCode?.({ repository: '', backups: [], damaged: [] }), 0);
  });

  test('show', async () => {
    const component = {
      ...sizes,
      ...times,
      name: 'database',
      kind: 'postgres',
      artifacts: [{ name: '0001-schema.dump', mediaType: 'application/x-pg', bytes: 10, chunks: 1 }],
      facts: { tables: [{ name: 'a"b' }] },
    };
    const result: ShowResult = {
      repository: 'file:///x',
      backup: summary,
      versions: { lifeboat: '0.1.0' },
      components: [component],
      evidence: [{ object: 'evidence/x', at: times.finishedAt, level: 'quick', result: 'ok' }],
    };
    await check(
      'show',
      showView,
      result,
      /unsigned writer/,
      /0001-schema\.dump +database +10 B +1/,
      /^database: recorded in a form that this version cannot show/m,
      /2026-01-02 03:05:05Z +quick +ok/,
    );
    await check('show', showView, { ...result, evidence: [] }, /nobody has checked this backup/);
  });

  test('validate: what is damaged, with all it touches', async () => {
    const base: ValidateResult = {
      repository: 'file:///x',
      level: 'stored',
      startedAt: times.startedAt,
      durationMs: 1500,
      backups: [{ id: summary.id, target: 'main', result: 'ok', evidence: 'evidence/x' }],
      counts: { packs: 2 },
      bytes: 1024,
      damaged: [],
      warnings: [],
    };
    await check(
      'validate',
      validateView,
      base,
      /1 backup: every stored byte is what was written \(1\.0 KiB in 1\.5 s, 2 packs\)/,
    );
    await check('validate', validateView, { ...base, sample: { part: 2, parts: 20 } }, /part 2 of 20/);
    const artifact = {
      component: 'database',
      name: 'data.dump',
      contents: ['app.public.orders', 'app.public.\nodd'],
      contentCount: 3,
    };
    const damaged: Damage[] = [
      {
        object: 'packs/ab/x.pack',
        kind: 'damaged',
        problem: 'a frame fails',
        backups: [
          { id: 'one', whole: false, artifacts: [artifact] },
          { id: 'two', whole: true, artifacts: [] },
          { id: 'three', whole: false, artifacts: [] },
        ],
      },
    ];
    await check(
      'validate',
      validateView,
      { ...base, damaged },
      /^damaged: packs\/ab\/x\.pack: a frame fails$/m,
      /^ {4}database data\.dump: app\.public\.orders, app\.public\.\\u000aodd, and 1 more$/m,
      /two: none of it can be restored/,
      /three: can be restored nevertheless/,
      /1 damaged object in/,
    );
    assert.deepEqual(
      [
        {},
        { warnings: ['w'] },
        { backups: [{ id: 'x', target: 'main', result: 'unchecked' as const }] },
        { damaged },
      ].map((more) => validateOperation.exitCode?.({ ...base, ...more })),
      [0, 3, 12, 14],
    );
  });

  test('integrity: faults, warnings, and what is left over', async () => {
    const none = { count: 0, bytes: 0, first: [] };
    const base: RepositoryAccount = {
      repository: 'file:///x',
      startedAt: times.startedAt,
      durationMs: 20,
      objects: { packs: { count: 3, bytes: 2048 } },
      orphans: none,
      young: none,
      log: { part: 2, parts: 7, files: 0, bytes: 0 },
      findings: [],
      counts: {},
      warnings: [],
    };
    await check('integrity', integrityView, base, /packs +3 +2\.0 KiB/, /file:\/\/\/x is whole \(3 objects/);
    const lost: IntegrityFinding = {
      kind: 'missing',
      weight: 'fault',
      object: 'packs/ab/x.pack',
      problem: 'it is missing',
      backups: ['one', 'two'],
    };
    const strange: IntegrityFinding = {
      kind: 'stray',
      weight: 'warning',
      object: 'odd\n',
      problem: 'no such name',
      backups: [],
    };
    await check(
      'integrity',
      integrityView,
      {
        ...base,
        findings: [lost, strange],
        orphans: { count: 2, bytes: 10, first: ['packs/a'] },
        counts: { missing: 1, stray: 1 },
      },
      /^missing: packs\/ab\/x\.pack: it is missing \(one, two\)$/m,
      /^warning: stray: odd\\u000a: /m,
      /^2 orphans \(10 B\)/m,
      /^1 fault in/m,
    );
    assert.deepEqual(
      [[], [strange], [lost]].map((findings) => integrityOperation.exitCode?.({ ...base, findings })),
      [0, 3, 14],
    );
  });

  test('cleanup: what stays, what goes, and what that frees; undelete, hold and release', async () => {
    const kept = {
      id: summary.id,
      target: 'main',
      type: 'full' as const,
      startedAt: times.startedAt,
      keep: true,
      reasons: ['younger than 30 days', 'on hold: a\nreason'],
    };
    const base: CleanupResult = {
      outcome: 'done',
      repository: 'file:///x',
      graceMs: 86_400_000,
      backups: [kept, { ...kept, keep: false, reasons: ['older than 30 days'], bytes: 2048 }],
      deleted: [
        { id: 'x', seal: 'y' },
        { id: 'z', seal: 'y' },
      ],
      freed: { packs: 2, bytes: 1024 },
      laterBytes: 2048,
      retained: [],
      wal: [],
      hidden: [],
      warnings: [],
    };
    await check(
      'cleanup',
      cleanupView,
      { ...base, retained: [{ object: 'packs/x', until: times.finishedAt }, { object: 'packs/y' }] },
      /^2 objects that nobody needs are retained by object lock, the first until 2026-01-02 03:05:05Z;/m,
    );
    await check(
      'cleanup',
      cleanupView,
      base,
      /keep +younger than 30 days; on hold: a\\u000areason$/m,
      /deleted +2\.0 KiB +older than 30 days$/m,
      /^1 backup moved to trash; for 24 h/m,
      /^2 backups in trash are gone for good$/m,
      /^freed 1\.0 KiB now \(2 packs\), 2\.0 KiB when/m,
    );
    await check(
      'cleanup',
      cleanupView,
      { ...base, outcome: 'planned' },
      /would delete/,
      /^1 backup would move/m,
      /^2 backups in trash would be gone/m,
      /^would free 1\.0 KiB/m,
    );
    await check(
      'cleanup',
      cleanupView,
      { ...base, backups: [], deleted: [], stopped: 'space is not freed: why' },
      /^no backups$/m,
      /^no backup was deleted$/m,
      /^space is not freed: why$/m,
    );
    const wal: CleanupWal = {
      systemId: '74',
      targets: ['main'],
      from: '2026-01-01T00:00:00.000400Z',
      becomes: '2026-01-02T00:00:00Z',
      segments: 1,
      bytes: 1024,
      laterSegments: 2,
      laterBytes: 2048,
    };
    await check(
      'cleanup',
      cleanupView,
      { ...base, wal: [wal] },
      new RegExp(
        [
          String.raw`^window of cluster 74 \(main\): from 2026-01-01 00:00:01Z becomes from 2026-01-02 00:00:00Z; `,
          String.raw`1 segment, 1\.0 KiB goes now, 2 segments, 2\.0 KiB with the base backups in trash$`,
        ].join(''),
        'm',
      ),
    );
    await check(
      'cleanup',
      cleanupView,
      {
        ...base,
        outcome: 'planned',
        wal: [
          { ...wal, becomes: undefined, laterSegments: 0, laterBytes: 0 },
          {
            ...wal,
            systemId: '75',
            targets: [],
            from: undefined,
            becomes: undefined,
            segments: 0,
            bytes: 0,
            stays: 'why',
          },
        ],
      },
      /from 2026-01-01 00:00:01Z would become empty; 1 segment, 1\.0 KiB would go now$/m,
      /^log of cluster 75 stays: why$/m,
    );
    await check(
      'undelete',
      undeleteView,
      { id: 'x', target: 'main', held: true, warnings: [] },
      /backup x is back, and on hold; .*lifeboat release x/,
    );
    await check(
      'hold',
      holdView,
      { id: 'x', target: 'main', held: true, reason: 'a\nreason', tags: ['keep'], warnings: [] },
      /backup x is kept until it is released \(a\\u000areason\); tags: keep/,
    );
    await check(
      'release',
      releaseView,
      { id: 'x', target: 'main', held: false, tags: [], warnings: [] },
      /the retention policy decides on backup x again$/,
    );
  });

  test('restore and undo', async () => {
    const component: RestoredComponent = {
      name: 'database',
      kind: 'postgres',
      to: 'app',
      bytes: 5,
      durationMs: 10,
      verified: 'equal',
      kept: 'app_before_x',
      undo: 'lifeboat restore --undo app_before_x',
    };
    await check<RestoreResult>(
      'restore',
      restoreView,
      {
        outcome: 'done',
        id: summary.id,
        target: 'main',
        startedAt: times.startedAt,
        durationMs: 5,
        components: [component],
        safetyBackupId: 'safe',
        warnings: [],
      },
      /equal to the backup/,
      /kept as app_before_x/,
      /lifeboat restore --undo/,
      /backup safe/,
    );
    await check<RestoreResult>(
      'restore',
      restoreView,
      {
        outcome: 'planned',
        id: summary.id,
        target: 'main',
        steps: [{ component: 'redis', to: 'h:1', action: 'load', bytes: 1 }],
        warnings: ['old'],
      },
      /^would restore/,
      /1 +redis +load +h:1/,
      /warning: old/,
    );
    await check<UndoRestoreResult>(
      'restore-undo',
      undoRestoreView,
      { outcome: 'done', database: 'app', setAside: 'app_after_x' },
      /gave app its old content back/,
    );
  });

  test('export, init, keys, unlock', async () => {
    await check<ExportResult>(
      'export',
      exportView,
      {
        id: summary.id,
        folder: "/o'u t",
        files: [{ path: 'app.dump', component: 'database', bytes: 1, sha256: 'aa' }],
        warnings: [],
      },
      /cd '\/o'\\''u t' && sha256sum -c SHA256SUMS/,
    );
    await check<InitResult>(
      'init',
      initView,
      {
        repository: 'file:///x',
        repositoryId: 'id',
        created: ['/c'],
        keyFile: '/k',
        encrypted: true,
        rescueSha256: 'ff',
        nextSteps: ['lifeboat backup'],
        warnings: [],
      },
      /created:\n {2}\/c/,
      /\/k: copy it to a safe place now/,
      /lifeboat backup$/,
    );
    await check<KeysGenerateResult>('keys-generate', keysGenerateView, { kind: 'raw', key: 'abc' }, /^abc$/);
    await check<KeysListResult>(
      'keys-list',
      keysListView,
      {
        repository: 'file:///x',
        keys: [{ id: 'k', createdAt: times.startedAt, recipients: ['raw', 'age1x'], opens: true, current: true }],
        warnings: [],
      },
      /k +2026-01-02 03:04:05Z +yes +yes +raw, age1x/,
    );
    await check<KeysChangeResult>(
      'keys-change',
      keysChangeView,
      { changed: [], unchanged: ['k'], warnings: [] },
      /changed: nothing/,
      /could not be opened.*k/,
    );
    await check<UnlockResult>(
      'unlock',
      unlockView,
      { broken: [lease], alive: [] },
      /removed: backup-main \(backup by root on web1, process 7, since 2026-01-02 03:04:05Z\)/,
    );
    await check<UnlockResult>('unlock', unlockView, { broken: [], alive: [] }, /^nothing is locked$/);
  });

  test('doctor: hints where something is wrong; the first failure decides the exit code', async () => {
    const checks: DoctorCheck[] = [
      { name: 'a', ok: 'ok', message: 'fine', hint: 'unused' },
      { name: 'b', ok: 'warn', message: 'odd', hint: 'look' },
    ];
    await check<DoctorResult>('doctor', doctorView, { checks }, /^ok {4}a: fine\nwarn {2}b: odd\n +hint: look$/);
    assert.equal(doctorOperation.exitCode?.({ checks }), 3);
    assert.equal(
      doctorOperation.exitCode?.({ checks: [...checks, { name: 'c', ok: 'fail', message: 'no', code: 'tool' }] }),
      16,
    );
    assert.equal(doctorOperation.exitCode?.({ checks: [] }), 0);
  });
});
