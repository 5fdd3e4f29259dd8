/** The retention policy against tables: which of these backups stay, and why. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RetentionByComponent, RetentionPolicy } from '../../../../src/config/config.ts';
import { applyPolicy, type PolicyOutcome } from '../../../../src/repository/retention/policy.ts';
import type { PolicyBackup, PolicyComponent, PolicyPart } from '../../../../src/repository/retention/backups.ts';

const none: RetentionPolicy = {
  days: undefined,
  keepLast: undefined,
  keepHourly: undefined,
  keepDaily: undefined,
  keepWeekly: undefined,
  keepMonthly: undefined,
  keepYearly: undefined,
  keepWithinMs: undefined,
  minBackups: undefined,
};
const rules = (given: Partial<RetentionPolicy>): RetentionByComponent => ({
  database: { ...none, ...given },
  redis: { ...none, ...given },
  files: { ...none, ...given },
});
const now = Date.parse('2026-07-01T12:00:00Z');
const many = 1000;

type Given = Partial<Omit<PolicyBackup, 'components'>> & {
  readonly only?: readonly (PolicyComponent | 'base')[];
  readonly bytes?: number;
  readonly items?: number;
};

/** `at`: as in `2026-07-01T03:00:00Z`, short forms too; also the id. */
function backup(at: string, { only = ['database'], bytes = 1000, items, ...given }: Given = {}): PolicyBackup {
  const whole = { 10: `${at}T03:00:00Z`, 16: `${at}:00Z` }[at.length] ?? at;
  const part = (name: PolicyComponent | 'base'): Pick<PolicyPart, 'kind' | 'component'> =>
    name === 'base'
      ? { kind: 'base', component: 'database' }
      : { kind: name === 'database' ? 'postgres' : name, component: name };
  return {
    id: at,
    target: 'main',
    takenMs: Date.parse(whole),
    previousId: undefined,
    components: only.map((name) => ({ ...part(name), readBytes: bytes, items })),
    tags: [],
    hold: undefined,
    unreadableNote: false,
    proven: false,
    failing: false,
    flawed: false,
    acknowledged: false,
    ...given,
  };
}

function days(from: string, count: number, given: Given = {}): PolicyBackup[] {
  return Array.from({ length: count }, (_, n) =>
    backup(new Date(Date.parse(`${from}T00:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10), given),
  );
}

function judge(
  backups: readonly PolicyBackup[],
  given: Partial<RetentionPolicy>,
  maxDelete: number | undefined = many,
): PolicyOutcome {
  return applyPolicy(backups, new Map([['main', rules(given)]]), now, maxDelete);
}

const kept = ({ verdicts }: PolicyOutcome): string[] => verdicts.filter(({ keep }) => keep).map(({ id }) => id);
const gone = ({ verdicts }: PolicyOutcome): string[] => verdicts.filter(({ keep }) => !keep).map(({ id }) => id);
const why = ({ verdicts }: PolicyOutcome, id: string): readonly string[] =>
  verdicts.find((each) => each.id === id)?.reasons ?? [];
/** Each that is kept with its reasons: the golden tables. */
const table = ({ verdicts }: PolicyOutcome): string[] =>
  verdicts.map(({ id, keep, reasons }) => `${keep ? 'keep' : 'go  '} ${id} ${reasons.join('; ')}`);

test('by age: exactly 30 days is too old, whatever the order they come in', () => {
  const backups = [
    '2026-06-02T12:00',
    '2026-06-01T12:01',
    '2026-06-01T12:00',
    '2026-05-01T12:00',
    '2026-07-01T11:00',
  ].map((at) => backup(at));
  assert.deepEqual(table(judge(backups, { days: 30 })), [
    'go   2026-05-01T12:00 older than 30 days',
    'go   2026-06-01T12:00 older than 30 days',
    'keep 2026-06-01T12:01 younger than 30 days',
    'keep 2026-06-02T12:00 younger than 30 days',
    'keep 2026-07-01T11:00 newest database backup of main; younger than 30 days',
  ]);
});

test('hours, days, weeks, months, years: the newest of each that has a backup', () => {
  const backups = [
    '2024-12-31T23:59',
    '2025-01-01T00:00',
    '2025-06-15',
    '2025-12-28T23:00',
    '2025-12-29T01:00',
    '2025-12-31T23:59',
    '2026-01-01T00:00',
    '2026-01-04T23:59',
    '2026-01-05T00:00',
    '2026-02-28T23:00',
    '2026-03-01T00:00',
    '2026-06-29T01:00',
    '2026-06-30T23:59',
    '2026-07-01T10:05',
    '2026-07-01T10:59',
    '2026-07-01T11:00',
  ].map((at) => backup(at));
  assert.deepEqual(kept(judge(backups, { keepHourly: 3 })), [
    '2026-06-30T23:59',
    '2026-07-01T10:59',
    '2026-07-01T11:00',
  ]);
  assert.deepEqual(kept(judge(backups, { keepDaily: 4 })), [
    '2026-03-01T00:00',
    '2026-06-29T01:00',
    '2026-06-30T23:59',
    '2026-07-01T11:00',
  ]);
  // Monday 29 December 2025 belongs to week 1 of 2026, as does Sunday 4 January.
  assert.deepEqual(
    table(judge(backups, { keepWeekly: 7 })).filter((line) => line.startsWith('keep')),
    [
      'keep 2025-01-01T00:00 newest of week 2025-W01',
      'keep 2025-06-15 newest of week 2025-W24',
      'keep 2025-12-28T23:00 newest of week 2025-W52',
      'keep 2026-01-04T23:59 newest of week 2026-W01',
      'keep 2026-01-05T00:00 newest of week 2026-W02',
      'keep 2026-03-01T00:00 newest of week 2026-W09',
      'keep 2026-07-01T11:00 newest database backup of main; newest of week 2026-W27',
    ],
  );
  assert.deepEqual(kept(judge(backups, { keepMonthly: 4 })), [
    '2026-02-28T23:00',
    '2026-03-01T00:00',
    '2026-06-30T23:59',
    '2026-07-01T11:00',
  ]);
  assert.deepEqual(
    table(judge(backups, { keepYearly: 9 })).filter((line) => line.startsWith('keep')),
    [
      'keep 2024-12-31T23:59 newest of year 2024',
      'keep 2025-12-31T23:59 newest of year 2025',
      'keep 2026-07-01T11:00 newest database backup of main; newest of year 2026',
    ],
  );
});

test('a leap day, and the hours at which clocks change elsewhere, are like all others', () => {
  const leap = ['2024-02-28', '2024-02-29', '2024-03-01'].map((at) => backup(at));
  assert.deepEqual(kept(judge(leap, { keepMonthly: 2 })), ['2024-02-29', '2024-03-01']);
  // 29 March 2026, 01:00 UTC and 25 October 2025, 00:00 UTC in Europe: an hour is missing or comes twice there, not
  // here.
  const hours = [
    '2025-10-25T23:30',
    '2025-10-26T00:30',
    '2025-10-26T01:30',
    '2026-03-29T00:30',
    '2026-03-29T01:30',
    '2026-03-29T02:30',
  ].map((at) => backup(at));
  assert.deepEqual(gone(judge(hours, { keepHourly: 6 })), []);
  assert.deepEqual(gone(judge(hours, { keepHourly: 5 })), ['2025-10-25T23:30']);
});

test('a rule in several words, keepLast, keepWithin, and at least so many', () => {
  const backups = days('2026-06-01', 10);
  assert.deepEqual(kept(judge(backups, { keepLast: 2 })), ['2026-06-09', '2026-06-10']);
  assert.deepEqual(kept(judge(backups, { keepWithinMs: 23 * 86_400_000 })), ['2026-06-09', '2026-06-10']);
  assert.deepEqual(table(judge(backups, { days: 1, minBackups: 3 })).slice(-3), [
    'keep 2026-06-08 one of at least 3',
    'keep 2026-06-09 one of at least 3',
    'keep 2026-06-10 newest database backup of main; one of at least 3',
  ]);
  assert.deepEqual(why(judge(backups, { keepLast: 2, keepWithinMs: 36 * 3_600_000 }), '2026-06-01'), [
    'not within 36 h, not one of the last 2',
  ]);
});

test('a gap: the last periods that have a backup count, not the last on the calendar', () => {
  const backups = [...days('2026-01-01', 5), backup('2026-06-30')];
  assert.deepEqual(kept(judge(backups, { keepDaily: 3 })), ['2026-01-04', '2026-01-05', '2026-06-30']);
  // Nothing was backed up for months: the three last stay.
  assert.deepEqual(kept(judge(days('2026-01-01', 9), { days: 30, minBackups: 3 })), [
    '2026-01-07',
    '2026-01-08',
    '2026-01-09',
  ]);
});

test("a date in the future stays, and takes no other's place; minutes ahead are none", () => {
  const backups = [...days('2026-06-26', 5), backup('2026-07-01T12:05'), backup('2041-01-01')];
  const outcome = judge(backups, { keepLast: 2 });
  assert.deepEqual(kept(outcome), ['2026-06-30', '2026-07-01T12:05', '2041-01-01']);
  assert.deepEqual(why(outcome, '2041-01-01'), ['dated in the future: its age cannot be told']);
  assert.deepEqual(why(outcome, '2026-07-01T12:05'), ['newest database backup of main', 'one of the last 2']);
});

test('a clock that was set back: a backup is never older than the one before it', () => {
  const wrong = backup('2020-01-01', { previousId: '2026-06-30' });
  const after = backup('2020-01-02', { previousId: '2020-01-01' });
  const outcome = judge([...days('2026-06-26', 5), wrong, after], { keepLast: 2, days: 3 });
  assert.deepEqual(kept(outcome), ['2026-06-29', '2026-06-30', '2020-01-01', '2020-01-02']);
  assert.deepEqual(why(outcome, '2020-01-02'), [
    'newest database backup of main',
    'younger than 3 days',
    'one of the last 2',
  ]);
  // One before it that is dated in the future says nothing; a circle ends.
  assert.deepEqual(
    gone(
      judge([backup('2041-01-01'), backup('2026-01-01', { previousId: '2041-01-01' }), backup('2026-06-30')], {
        days: 3,
      }),
    ),
    ['2026-01-01'],
  );
  assert.equal(
    judge([backup('2026-01-01', { previousId: '2026-01-02' }), backup('2026-01-02', { previousId: '2026-01-01' })], {
      days: 3,
    }).verdicts.length,
    2,
  );
});

test("no rule: nothing goes; another target's, and one that is not configured, are judged apart", () => {
  const backups = days('2020-01-01', 5);
  assert.deepEqual(gone(judge(backups, { minBackups: 1 })), []);
  assert.deepEqual(why(judge(backups, {}), '2020-01-01'), ['there is no rule for database']);
  const other = days('2021-01-01', 5, { target: 'other' });
  const outcome = applyPolicy([...backups, ...other], new Map([['main', rules({ keepLast: 1 })]]), now, many);
  assert.deepEqual(gone(outcome), ['2020-01-01', '2020-01-02', '2020-01-03', '2020-01-04']);
  assert.deepEqual(why(outcome, '2021-01-01'), ['target other is not configured here']);
});

test('a backup of several components lives as long as its longest-kept one', () => {
  const policies = new Map([
    ['main', { database: { ...none, days: 30 }, redis: { ...none, days: 7 }, files: { ...none, keepLast: 1 } }],
  ]);
  const backups = [
    backup('2026-05-01', { only: ['database', 'redis'] }),
    backup('2026-06-10', { only: ['redis'] }),
    backup('2026-06-11', { only: ['database', 'redis'] }),
    backup('2026-06-12', { only: ['files'] }),
    backup('2026-06-29', { only: ['database', 'redis', 'files'] }),
  ];
  assert.deepEqual(table(applyPolicy(backups, policies, now, many)), [
    'go   2026-05-01 database: older than 30 days; redis: older than 7 days',
    'go   2026-06-10 older than 7 days',
    'keep 2026-06-11 database: younger than 30 days',
    'go   2026-06-12 not one of the last 1',
    'keep 2026-06-29 newest database backup of main; database: younger than 30 days; newest redis backup of main; ' +
      'redis: younger than 7 days; newest files backup of main; files: the last one',
  ]);
});

test("holds, tags, notes that cannot be read and safety backups stay; safety backups take no other's place", () => {
  const backups = [
    backup('2026-01-01', { hold: 'court' }),
    backup('2026-01-02', { hold: '' }),
    backup('2026-01-03', { tags: ['deploy', 'keep'] }),
    backup('2026-01-04', { unreadableNote: true }),
    backup('2026-01-05', { tags: ['deploy'] }),
    backup('2026-06-01', { tags: ['safety'] }),
    backup('2026-06-28'),
    backup('2026-06-29', { tags: ['safety'] }),
  ];
  assert.deepEqual(table(judge(backups, { keepLast: 1 })), [
    'keep 2026-01-01 on hold: court',
    'keep 2026-01-02 on hold',
    'keep 2026-01-03 tagged keep',
    'keep 2026-01-04 it has a note that cannot be read: it may be on hold',
    'go   2026-01-05 not one of the last 1',
    'go   2026-06-01 not one of the last 1',
    'keep 2026-06-28 newest database backup of main; the last one',
    'keep 2026-06-29 safety backup of the last 7 days',
  ]);
});

test('never the newest proven, nor the only one; a damaged one stands in for no other', () => {
  const backups = [
    backup('2026-01-01', { proven: true }),
    backup('2026-01-02', { proven: true }),
    backup('2026-01-03'),
    backup('2026-01-04', { failing: true }),
    backup('2026-01-05', { failing: true, proven: true }),
  ];
  assert.deepEqual(table(judge(backups, { keepLast: 1 })), [
    'go   2026-01-01 not one of the last 1',
    'keep 2026-01-02 newest proven database backup of main',
    'keep 2026-01-03 newest database backup of main; the last one',
    'go   2026-01-04 a check found it damaged; not one of the last 1',
    'go   2026-01-05 a check found it damaged; not one of the last 1',
  ]);
  assert.deepEqual(gone(judge([backup('2000-01-01')], { days: 1 })), []);
  assert.deepEqual(gone(judge([backup('2000-01-01', { failing: true })], { days: 1 })), []);
});

test('one of a damaged source takes the place of none, and stays while it is the newest', () => {
  const before = [backup('2026-01-01'), backup('2026-01-02', { proven: true }), backup('2026-01-03')];
  const flawed = ['2026-01-04', '2026-01-05'].map((day) => backup(day, { flawed: true, proven: true }));
  assert.deepEqual(gone(judge([...before, ...flawed], { keepLast: 2 })), ['2026-01-01', '2026-01-04']);
  const after = [...before, ...flawed, backup('2026-01-06')];
  assert.deepEqual(gone(judge(after, { keepLast: 1 })), ['2026-01-01', '2026-01-03', '2026-01-04', '2026-01-05']);
  assert.deepEqual(gone(judge(flawed.slice(1), { keepLast: 1 })), []);
});

test("at most half of a target's go in one run, the oldest first; or as many as is said", () => {
  const backups = [...days('2026-01-01', 7), ...days('2025-01-01', 2, { target: 'other' })];
  const policies = new Map([
    ['main', rules({ keepLast: 1 })],
    ['other', rules({ keepLast: 1 })],
  ]);
  const half = applyPolicy(backups, policies, now);
  assert.deepEqual(gone(half), ['2025-01-01', '2026-01-01', '2026-01-02', '2026-01-03']);
  assert.equal(half.overLimit, 3);
  assert.deepEqual(why(half, '2026-01-04'), ['one run deletes no more; the next one goes on']);
  assert.deepEqual(gone(applyPolicy(backups, policies, now, 2)), ['2025-01-01', '2026-01-01']);
  assert.deepEqual(gone(applyPolicy(backups, policies, now, 0)), []);
});

test('a collapse of the newest stops deletion until it is acknowledged, of its target only', () => {
  const before = days('2026-01-01', 5, { bytes: 1000, items: 100 });
  const other = days('2026-01-01', 3, { target: 'other' }).map((each) => ({ ...each, id: `other ${each.id}` }));
  const judged = (newest: Given): PolicyOutcome =>
    applyPolicy(
      [...before, backup('2026-06-30', newest), ...other],
      new Map([
        ['main', rules({ keepLast: 1 })],
        ['other', rules({ keepLast: 1 })],
      ]),
      now,
      many,
    );
  assert.equal(gone(judged({ bytes: 500, items: 50 })).length, 7, 'exactly half is no collapse');
  const small = judged({ bytes: 499 });
  assert.deepEqual(gone(small), ['other 2026-01-01', 'other 2026-01-02']);
  assert.deepEqual(small.stops, [
    {
      target: 'main',
      backupId: '2026-06-30',
      reason: 'deletion is stopped: the newest postgres backup, 2026-06-30, has read 499 B, the ones before 1000 B',
    },
  ]);
  assert.deepEqual(why(small, '2026-01-01'), [small.stops[0]?.reason]);
  const empty = judged({ bytes: 990, items: 49 });
  assert.match(empty.stops[0]?.reason ?? '', /holds 49 rows, the ones before 100$/);
  assert.deepEqual(judged({ bytes: 1, acknowledged: true }).stops, []);
  // What was acknowledged is the usual size from then on.
  const later = [
    ...before,
    backup('2026-06-28', { bytes: 10, acknowledged: true }),
    backup('2026-06-29', { bytes: 10 }),
  ];
  assert.deepEqual(judge(later, { keepLast: 1 }).stops, []);
  assert.equal(judge([...later, backup('2026-06-30', { bytes: 4 })], { keepLast: 1 }).stops.length, 1);
  // A safety backup of one small database is no collapse.
  assert.deepEqual(judge([...before, backup('2026-06-30', { bytes: 1, tags: ['safety'] })], { keepLast: 1 }).stops, []);
});

test('base backups have the rules of the database, but are counted by themselves', () => {
  const dumps = ['2026-06-24', '2026-06-26', '2026-06-28', '2026-06-30'].map((at) => backup(at));
  const bases = ['2026-06-01', '2026-06-08', '2026-06-15', '2026-06-22'].map((at) => backup(at, { only: ['base'] }));
  assert.deepEqual(table(judge([...dumps, ...bases], { keepLast: 2 })), [
    'go   2026-06-01 not one of the last 2',
    'go   2026-06-08 not one of the last 2',
    'keep 2026-06-15 one of the last 2',
    'keep 2026-06-22 newest base backup of main; one of the last 2',
    'go   2026-06-24 not one of the last 2',
    'go   2026-06-26 not one of the last 2',
    'keep 2026-06-28 one of the last 2',
    'keep 2026-06-30 newest database backup of main; one of the last 2',
  ]);
  const old = judge([...dumps, ...bases], { days: 1 });
  assert.deepEqual(kept(old), ['2026-06-22', '2026-06-30'], 'neither stands in for the other');
});

test('days of log: the base backup from which the oldest of them is replayed stays', () => {
  const bases = ['2026-06-01', '2026-06-08', '2026-06-15', '2026-06-22'].map((at) => backup(at, { only: ['base'] }));
  const by = (walDays: number): string[] =>
    table(applyPolicy(bases, new Map([['main', { ...rules({ keepLast: 1 }), walDays }]]), now, many)).filter((each) =>
      each.includes('replayed'),
    );
  assert.deepEqual(
    by(1),
    ['keep 2026-06-22 newest base backup of main; one of the last 1; the log of the last day is replayed from it'].map(
      (each) => each.replace('one of the last 1', 'the last one'),
    ),
  );
  assert.deepEqual(by(10), ['keep 2026-06-15 the log of the last 10 days is replayed from it']);
  assert.deepEqual(by(23), ['keep 2026-06-08 the log of the last 23 days is replayed from it']);
  assert.deepEqual(by(60), ['keep 2026-06-01 the log of the last 60 days is replayed from it']);
  const damaged = bases.map((each) => (each.id === '2026-06-15' ? { ...each, failing: true } : each));
  const outcome = applyPolicy(damaged, new Map([['main', { ...rules({ keepLast: 1 }), walDays: 10 }]]), now, many);
  assert.deepEqual(kept(outcome), ['2026-06-08', '2026-06-22'], 'a damaged one does not do');
});
