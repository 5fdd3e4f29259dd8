/**
 * A base backup is worth something only with the WAL from its start to its stop. Before one is taken the
 * repository must have WAL of its cluster; before one is recorded every segment of it must be there and open.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { pause } from '../../lib/pause.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { DataKey } from '../../repository/box/crypto.ts';
import type { Repository } from '../../repository/repository.ts';
import type { OpenedWal } from '../../repository/wal/stored.ts';
import { listWal, openWal } from '../../repository/wal/archive.ts';
import { formatLsn, parseLsn } from '../../source/postgres/wal/lsn.ts';
import { segmentName } from '../../source/postgres/wal/file-name.ts';
import type { ArtifactInfo, ArtifactReader } from '../../source/source.ts';
import { baseArtifact, manifestArtifact } from '../../source/postgres/base/artifacts.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { NotFoundError } from '../../storage/storage.ts';
import type { DumpedComponent } from './dump.ts';
import { newestUnfinished, openSegment, verifyWhole } from '../wal/segment.ts';
import { segmentsOfBase } from '../wal/base-segments.ts';

const firstSegmentMs = 60_000;
const lastSegmentMs = 300_000;

/**
 * Throws `source` (13), with the line to set, unless WAL of this cluster comes into the repository; `nudge` makes the
 * server archive something.
 */
export async function requireWal(
  repository: Repository,
  systemId: string,
  nudge: () => Promise<void>,
  context: RunContext,
  timeoutMs = firstSegmentMs,
): Promise<void> {
  const hasAny = async (): Promise<boolean> => {
    for await (const _ of listWal(repository.storage, systemId)) return true;
    return false;
  };
  if (await hasAny()) return;
  context.emit({
    type: 'step',
    component: 'base',
    message: `waiting for the first WAL of cluster ${systemId} in the repository`,
  });
  await nudge();
  for (const giveUpAt = performance.now() + timeoutMs; performance.now() < giveUpAt; await pause(500, context.signal)) {
    if (await hasAny()) return;
  }
  throw new LifeboatError(
    'source',
    `no WAL of this cluster (system identifier ${systemId}) comes into ` +
      'the repository, and a base backup is of no use without',
    {
      state: 'no backup was made',
      hint:
        'receive it by: lifeboat wal stream --create-slot; or set on the server archive_mode = on and ' +
        'archive_command as lifeboat init --archive-command prints it, restart it, and look at pg_stat_archiver',
    },
  );
}

/**
 * Adds to the facts what PostgreSQL's manifest in the stored tar says, and waits until all WAL of the backup opens.
 * Nothing to do for other kinds.
 */
export async function completeBase(
  repository: Repository,
  dataKey: DataKey | undefined,
  dumped: DumpedComponent,
  context: RunContext,
  timeoutMs = lastSegmentMs,
): Promise<DumpedComponent> {
  if (dumped.entry.kind !== 'base') return dumped;
  const { parseClusterFacts } = await import('../../source/postgres/base/facts.ts');
  const cluster = parseClusterFacts(dumped.facts);
  const reader = openArtifacts({ storage: repository.storage, dataKey, artifacts: dumped.entry.artifacts });
  const facts: BaseFacts = { ...cluster, ...(await readWalRange(reader)) };
  await awaitWal(repository, facts, context, timeoutMs);
  return { ...dumped, facts };
}

const tailBytes = 16 * 1024;

/** From the end of backup_manifest: an artifact of its own, or the end of the tar. */
async function readWalRange(reader: ArtifactReader): Promise<Pick<BaseFacts, 'timeline' | 'startLsn' | 'stopLsn'>> {
  const named = (wanted: string): ArtifactInfo | undefined => reader.artifacts.find(({ name }) => name === wanted);
  const { name: artifact, bytes } = named(manifestArtifact) ?? named(baseArtifact) ?? { name: baseArtifact, bytes: 0 };
  const parts: Uint8Array[] = [];
  for await (const part of reader.open(artifact, { start: Math.max(0, bytes - tailBytes), end: bytes })) {
    parts.push(Buffer.from(part));
  }
  const tail = Buffer.concat(parts).toString('latin1');
  const ranges = [
    ...tail
      .slice(tail.lastIndexOf('"WAL-Ranges"'))
      .matchAll(/"Timeline": (\d+), "Start-LSN": "([^"]+)", "End-LSN": "([^"]+)"/g),
  ];
  const [first, ...others] = ranges;
  if (first === undefined || others.length > 0) {
    throw new LifeboatError('integrity', 'the base backup does not end with the manifest that tells its WAL', {
      state: 'no backup was recorded',
      hint:
        ranges.length > 1
          ? 'the server was promoted while the backup ran: take another'
          : 'PostgreSQL 13 or later is needed',
    });
  }
  const [, timeline = '', startLsn = '', stopLsn = ''] = first;
  return { timeline: Number(timeline), startLsn, stopLsn };
}

async function awaitWal(
  repository: Repository,
  facts: BaseFacts,
  context: RunContext,
  timeoutMs: number,
): Promise<void> {
  const { first, last } = segmentsOfBase(facts);
  const giveUpAt = performance.now() + timeoutMs;
  for (let number = first; number <= last;) {
    const name = segmentName(facts.timeline, number, facts.walSegmentBytes);
    try {
      const content = await openLast(repository, facts, number, name);
      await verifyWhole(content);
      if (content.bytes !== facts.walSegmentBytes) {
        throw new LifeboatError(
          'integrity',
          `the archived WAL segment ${name} has ${content.bytes} bytes, not ${facts.walSegmentBytes}`,
          { state: 'no backup was recorded' },
        );
      }
      number++;
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      if (performance.now() > giveUpAt) throw notThere(name, facts, timeoutMs);
      context.emit({ type: 'debug', component: 'base', message: `waiting for WAL segment ${name}` });
      await pause(500, context.signal);
    }
  }
}

/** Of the last segment, what a stream has shipped will do if it reaches the end of the backup. */
async function openLast(
  repository: Repository,
  { systemIdentifier, stopLsn, walSegmentBytes }: BaseFacts,
  number: bigint,
  name: string,
): Promise<OpenedWal> {
  const isLast = parseLsn(stopLsn) <= (number + 1n) * BigInt(walSegmentBytes);
  const unfinished = isLast ? await newestUnfinished(repository, systemIdentifier, name) : undefined;
  if (unfinished?.file.lsn === undefined || unfinished.file.lsn < parseLsn(stopLsn)) {
    return openWal(repository, systemIdentifier, name);
  }
  return openSegment(repository, systemIdentifier, name);
}

function notThere(name: string, { stopLsn }: BaseFacts, timeoutMs: number): LifeboatError {
  return new LifeboatError(
    'source',
    `WAL segment ${name}, which the base backup needs (it ends at ${formatLsn(parseLsn(stopLsn))}), did not come ` +
      `into the repository within ${Math.round(timeoutMs / 1000)} s`,
    {
      state: 'no backup was recorded',
      hint:
        "lifeboat wal status; SELECT * FROM pg_stat_archiver and the server's log tell why archive_command fails, " +
        'and the log of lifeboat wal stream what keeps that',
      retryable: true,
    },
  );
}
