/** The audit log in a repository where somebody else puts records, too. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readAuditLog } from '../../../src/operations/audit/chain.ts';
import { auditHost, auditKey, endOfChain, parseAuditKey } from '../../../src/repository/audit-names.ts';
import { appendAudit } from '../../../src/repository/audit.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { encryption, testRepository, type TestRepository } from '../../helpers/repository/repository.ts';

const rawA = encryption({ key: 'a1'.repeat(32) });

async function append(home: TestRepository): Promise<number> {
  const draft = { command: 'backup', ids: [], outcome: 'ok' as const, exitCode: 0, startedMs: 0, finishedMs: 0 };
  const head = await appendAudit(await home.open(rawA), { ...draft, details: { arguments: {} } }, assert.fail);
  return head.number;
}

function plant(home: TestRepository, ...numbers: string[]): void {
  const folder = join(home.root, 'audit', auditHost());
  mkdirSync(folder, { recursive: true });
  for (const number of numbers) writeFileSync(join(folder, `${number.padStart(20, '0')}.json`), '{}\n');
}

async function forget(home: TestRepository, { repositoryId }: Repository): Promise<void> {
  rmSync(join(home.stateDir('a'), 'repositories', repositoryId, `audit-${auditHost()}.json`));
}

test('planted numbers beyond all counting neither stop the log nor lead it away', { timeout: 60_000 }, async () => {
  for (const number of ['9007199254740991', '99999999999999999999', '1000000000000', '5000']) {
    using home = testRepository();
    const repository = await home.create(rawA);
    assert.equal(await append(home), 1);
    assert.equal(await append(home), 2);
    plant(home, number);
    await forget(home, repository);
    assert.deepEqual([await append(home), await append(home), await append(home)], [3, 4, 5], number);
    const { entries, findings } = await readAuditLog(await home.open(rawA), new AbortController().signal);
    assert.deepEqual(
      entries.map((entry) => entry.number),
      [1, 2, 3, 4, 5],
    );
    assert.ok(
      findings.some(({ object }) => object.endsWith(`${number.padStart(20, '0')}.json`)),
      `${number} is told`,
    );
    assert.equal(readdirSync(join(home.root, 'audit', auditHost())).length, 6);
  }
});

test('the end of a chain is where the others reach; small gaps do not hide it', () => {
  assert.equal(endOfChain([]), undefined);
  assert.equal(endOfChain([1, 2, 3]), 3);
  assert.equal(endOfChain([1, 2, 4, 5, 900]), 5);
  assert.equal(endOfChain([6, 7, 8, 9, 10]), 10, 'the first half is gone');
});

test('a number is one that a record can have', () => {
  assert.deepEqual(parseAuditKey(auditKey('h', 7)), { host: 'h', number: 7 });
  for (const number of ['0', '1000000000001', '9007199254740992', '99999999999999999999']) {
    assert.equal(parseAuditKey(`audit/h/${number.padStart(20, '0')}.json`), undefined, number);
  }
});
