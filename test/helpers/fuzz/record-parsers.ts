/** Parsers of records that lie in a repository or a state folder, each sealed anew after its change. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LifeboatError } from '../../../src/lib/errors.ts';
import { changesSince, parsePlan } from '../../../src/operations/emergency/plan-file.ts';
import { parseEvidenceName, type EvidenceName } from '../../../src/repository/backups/evidence-record.ts';
import { readEvidence } from '../../../src/repository/backups/evidence.ts';
import { readNotes } from '../../../src/repository/backups/notes.ts';
import { auditKey } from '../../../src/repository/audit-names.ts';
import { readAudit } from '../../../src/repository/audit.ts';
import { sha256 } from '../../../src/repository/box/crypto.ts';
import { sealDocument } from '../../../src/repository/box/seal.ts';
import { ownPublicKey, RepositoryState } from '../../../src/repository/host-state.ts';
import { readDeleted } from '../../../src/repository/deletion/deleted-records.ts';
import { encryptToRecipient, newIdentity, recipientOf } from '../../../src/repository/keys/age.ts';
import { encodeKeyFile, newDataKey, openKeyFile, parseKeyFile } from '../../../src/repository/keys/file.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { SeenBackups } from '../../../src/repository/seen-backups.ts';
import type { EmergencyPlan } from '../../../src/operations/emergency/plan.ts';
import type { Parser } from './run.ts';

const hex = '0123456789abcdef'.repeat(4);
const id = '20260102T030405Z-main-full-0123abcd';
const time = '2026-01-02T03:04:05.000Z';
const evidenceName = parseEvidenceName(`evidence/${id}/20260102T030405Z-deep-ok.json`) as EvidenceName;
const auditName = auditKey('vm', 1);
const noteName = `notes/${id}/20260102T030405Z-0123abcd.json`;

const evidence = {
  format: 1,
  object: evidenceName.object,
  backup: id,
  manifestSeal: hex,
  level: 'deep',
  result: 'ok',
  startedAt: time,
  finishedAt: time,
  durationMs: 5,
  host: 'vm',
  versions: { lifeboat: '1.0.0' },
  compared: ['all of it'],
  counts: { packs: 3 },
  bytes: 100,
  steps: [{ name: 'read', durationMs: 5, bytes: 100 }],
  damaged: [{ object: 'packs/x', problem: 'gone' }],
  damagedCount: 1,
  notes: [],
};

const audit = {
  format: 1,
  object: auditName,
  before: '0'.repeat(64),
  command: 'cleanup',
  host: 'vm',
  user: 'root',
  uid: 0,
  target: 'main',
  ids: [id],
  outcome: 'ok',
  exitCode: 0,
  startedAt: time,
  finishedAt: time,
  deleted: [{ id, seal: hex }],
  details: { arguments: { target: 'main', deep: [1, { a: null }] }, message: 'why' },
};

const note = {
  format: 1,
  object: noteName,
  backup: id,
  at: time,
  by: { host: 'vm', user: 'root' },
  hold: { since: time, reason: 'why' },
  tags: ['weekly'],
  acknowledged: true,
};

const plan: EmergencyPlan = {
  id,
  seal: hex,
  target: 'main',
  repository: 'file:///srv/backups',
  host: 'vm',
  createdAt: time,
  takenAt: time,
  passedOver: [],
  components: ['database', 'files'],
  databases: ['app'],
  live: [],
  mismatches: ['why'],
  losses: ['what'],
  needs: [],
  isNewest: true,
  steps: [{ name: 'stop-services', title: 'stop' }],
  withGlobals: false,
  forced: false,
  safetyBackup: true,
  confirmName: 'main',
};
const live = [{ component: 'database', where: 'here', systemIdentifier: '1', hasData: true, holds: 'app' }];
const planDocument = { format: 1, object: 'emergency-plan', repository: hex, plan: { ...plan, live } };

const key32 = Buffer.alloc(32, 7).toString('base64');
const hostState = [
  { id, seal: hex, startedAt: time },
  { id, seal: hex, startedAt: time, before: [{ id, seal: hex, startedAt: time }] },
  { host: 'vm', number: 7, seal: hex },
  { id: hex.slice(32), createdAt: time },
  { id: hex.slice(32), key: key32, createdAt: new Date().toISOString() },
  { seed: key32 },
  [{ name: 'n', secret: key32, salt: key32, tag: '0000', expiresAt: new Date(Date.now() + 3_600_000).toISOString() }],
].map((value) => Buffer.from(JSON.stringify(value)));

/** All files of this host's state are these bytes; each is asked for what it says. */
async function readHostState(bytes: Buffer): Promise<void> {
  const stateDir = mkdtempSync(join(tmpdir(), 'fuzz-'));
  try {
    const folder = join(stateDir, 'repositories', 'r');
    mkdirSync(folder, { recursive: true });
    for (const name of ['newest-main', 'audit-vm', 'newest-data-key', 'own-data-key', 'opened-keys']) {
      writeFileSync(join(folder, `${name}.json`), bytes);
    }
    writeFileSync(join(stateDir, 'signing-key.json'), bytes);
    const state = new RepositoryState(stateDir, 'r');
    const asked = await Promise.allSettled([
      new SeenBackups(stateDir, 'r').all('main'),
      state.newestAudit('vm'),
      state.newestDataKey(),
      state.cachedSecret('n', 'passphrase'),
      ownPublicKey(stateDir),
      state.ownDataKey().then((key) => key === undefined || sealDocument({}, key, undefined)),
    ]);
    const bug = asked.find((each) => each.status === 'rejected' && !(each.reason instanceof LifeboatError));
    if (bug?.status === 'rejected') throw bug.reason;
  } finally {
    rmSync(stateDir, { recursive: true });
  }
}

/** Without its last brace, which follows the seal. */
function openJson(value: object): Buffer {
  return Buffer.from(JSON.stringify(value, undefined, 2)).subarray(0, -2);
}

function withSeal(open: Buffer): Buffer {
  const sealed = Buffer.concat([open, Buffer.from(',\n')]);
  return Buffer.concat([sealed, Buffer.from(`  "seal": "${sha256(sealed).toString('hex')}"\n}\n`)]);
}

/** One without encryption, in which every object is these bytes. */
function holding(bytes: Buffer): Repository {
  const parts = { storage: { get: async () => bytes }, keyring: undefined, vouchesFor: async () => false };
  return parts as unknown as Repository;
}

export async function recordParsers(): Promise<Parser[]> {
  const identity = await newIdentity();
  const recipient = await recipientOf(identity);
  const dataKey = newDataKey();
  const wrapped = await encryptToRecipient(dataKey.key, recipient);
  const material = { rawKey: undefined, passphrases: [], identities: [identity], recipients: [], trustedKeys: [] };
  const sealed = (value: object): Pick<Parser, 'samples' | 'dress'> => ({
    samples: [openJson(value)],
    dress: withSeal,
  });
  return [
    {
      name: 'age entry of a key file',
      samples: [wrapped],
      dress: (file) => {
        const entry = { type: 'age' as const, recipient, file: file.toString('base64') };
        return encodeKeyFile(
          { id: dataKey.id.toString('hex'), createdAt: time, recipients: [entry] },
          dataKey,
          undefined,
        );
      },
      parse: async (input) => openKeyFile(parseKeyFile(input, 'keys/x.json', undefined), material),
    },
    {
      name: 'piece of evidence',
      ...sealed(evidence),
      parse: async (input) => readEvidence(holding(input), { id, seal: hex, manifest: undefined }, evidenceName),
    },
    {
      name: 'audit record',
      ...sealed(audit),
      parse: async (input) => {
        JSON.stringify([...(await readDeleted(holding(input), [auditName]))]);
        JSON.stringify(await readAudit(holding(input), auditName));
      },
    },
    { name: 'state of this host', samples: hostState, parse: readHostState },
    { name: 'note', ...sealed(note), parse: async (input) => readNotes(holding(input), id, [noteName]) },
    {
      name: 'plan of an emergency restore',
      ...sealed(planDocument),
      parse: async (input) => changesSince(await parsePlan(input, hex, undefined, 'plan.json'), plan),
    },
  ];
}
