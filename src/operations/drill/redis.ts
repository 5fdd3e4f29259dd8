/**
 * Drill of Redis: the snapshot loaded by a throwaway server; what it loaded and what had expired must add up to what
 * was recorded, and a sample of keys must be as the file has them.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { requireSpace } from '../../lib/fs.ts';
import { createFileAt } from '../../lib/held-files.ts';
import { redisFacts, type RedisFacts } from '../../source/redis/facts.ts';
import type { RdbSummary } from '../../source/redis/rdb/summary.ts';
import { whatLoads, whyNotLoadable } from '../../source/redis/rdb-versions.ts';
import { summarizeFile } from '../../source/redis/rdb-file.ts';
import { openScratch } from '../../source/redis/scratch.ts';
import { findServerBinaries, startScratchServer, type ServerBinary } from '../../source/redis/scratch-server.ts';
import { compareSample, functionNames, KeySample } from '../../source/redis/verify.ts';
import { factsOf } from '../backup-facts.ts';
import { restoreStep, type DrillRecord, type DrillSubject } from './subject.ts';
import { counted } from '../../lib/units.ts';

const fileName = 'dump.rdb';

export async function drillRedis(subject: DrillSubject, record: DrillRecord, context: RunContext): Promise<void> {
  const facts = factsOf(redisFacts, subject.facts, subject.component, subject.manifest.id);
  await requireSpace(tmpdir(), facts.bytes, 'the Redis snapshot');
  await using folder = await openScratch(tmpdir());
  const path = join(folder.path, fileName);
  await record.step(`${restoreStep} snapshot`, async () => {
    const file = await createFileAt(path);
    await pipeline(subject.reader.open(facts.artifact), file.createWriteStream(), { signal: context.signal });
  });
  const sample = new KeySample(facts.keys);
  const summary = await record.step('compare snapshot', () =>
    summarizeFile(path, context, { onKey: (key) => sample.offer(key) }),
  );
  compareFile(summary, facts);
  const binary = await fittingServer(summary, context);
  context.emit({
    type: 'step',
    component: subject.component.name,
    message: `loading the snapshot into a throwaway ${binary.version.text}`,
  });
  const databases = Math.max(16, (summary.databases.at(-1)?.db ?? 0) + 1);
  const isolation = await record.isolate(subject.config);
  await using server = await record.step(`${restoreStep} load`, () =>
    startScratchServer({ binary, folder: folder.path, fileName, databases, isolation }, context),
  );
  record.versions['redis'] = server.version.version;
  const loaded = server.loadedKeys + server.expiredKeys;
  if (!Number.isNaN(loaded) && loaded !== facts.keys) {
    throw differs(
      `the throwaway server loaded ${server.loadedKeys} keys and skipped ${server.expiredKeys} that had ` +
        `expired; recorded are ${facts.keys}`,
    );
  }
  const compared = await record.step('compare keys', () => compareSample(server.connection, sample.keys));
  const functions = await functionNames(server.connection);
  const wanted = facts.functions.map(({ name }) => name).toSorted();
  if (functions !== undefined && functions.join('\n') !== wanted.join('\n')) {
    throw differs(
      `it has the functions ${functions.join(', ') || 'none'}; recorded are ${wanted.join(', ') || 'none'}`,
    );
  }
  record.count('keys', facts.keys);
  record.count('keysExpired', Number.isNaN(server.expiredKeys) ? 0 : server.expiredKeys);
  record.count('keysSampled', compared.compared);
  record.count('functions', wanted.length);
  record.compared.push(
    'the fingerprint and counts of all keys with what was recorded',
    'keys loaded and keys expired with the count of the file',
    'types and expiry of a sample of keys with the file',
    'functions with what was recorded',
  );
  const expired = server.expiredKeys > 0 ? `, ${server.expiredKeys.toLocaleString('en-US')} expired since` : '';
  record.summary = `${counted(facts.keys, 'key')}${expired}`;
}

/** The file that came out of the repository is the one that was described when it went in. */
function compareFile(summary: RdbSummary, facts: RedisFacts): void {
  const pairs: readonly (readonly [string, string | number | undefined, string | number])[] = [
    ['bytes', summary.bytes, facts.bytes],
    ['keys', summary.keys, facts.keys],
    ['keys with an expiry', summary.expires, facts.expires],
    ['key fingerprint', summary.fingerprint, facts.keyFingerprint.value],
    ...facts.databases.map(
      ({ db, keys }) =>
        [`keys of database ${db}`, summary.databases.find((each) => each.db === db)?.keys ?? 0, keys] as const,
    ),
    ...facts.functions.map(
      ({ name, sha256 }) =>
        [`function library ${name}`, summary.functions.find((each) => each.name === name)?.sha256, sha256] as const,
    ),
  ];
  const [wrong] = pairs.filter(([, found, expected]) => found !== expected);
  if (wrong !== undefined) throw differs(`${wrong[0]}: recorded ${wrong[2]}, found ${wrong[1] ?? 'none'}`);
}

function differs(what: string): LifeboatError {
  return new LifeboatError('integrity', `the restored Redis is not what the backup recorded: ${what}`, {
    hint: 'try an older backup, and run: lifeboat validate --deep',
  });
}

async function fittingServer(file: RdbSummary, context: RunContext): Promise<ServerBinary> {
  const binaries = await findServerBinaries(context);
  const found = binaries.find(({ version }) => whyNotLoadable(file, version) === undefined);
  if (found !== undefined) return found;
  const why =
    binaries.length === 0
      ? 'no redis-server is installed here'
      : `${binaries.map(({ version }) => version.text).join(' and ')} cannot load RDB version ${file.version}`;
  throw new LifeboatError('tool', `a drill of Redis needs a server that loads the snapshot: ${why}`, {
    hint: `install the server program of ${whatLoads(file)}; it need not run`,
    state: 'nothing was found out about the backup',
  });
}
