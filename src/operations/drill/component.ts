/** The drill of one component, whatever its kind: its outcome, and what it read. */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { ArtifactReader } from '../../source/source.ts';
import type { DrillRecord } from './subject.ts';
import type { DrilledComponent } from './request.ts';

/** A fault of the backup ends its component, not the drill; so does what is missing here. */
export async function drillComponent(
  { name, kind }: ManifestComponent,
  record: DrillRecord,
  bytes: () => number,
  work: (context: RunContext) => Promise<void>,
  context: RunContext,
): Promise<DrilledComponent> {
  const started = performance.now();
  let impossible: LifeboatError | undefined;
  try {
    await work(demoting(record, context));
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof LifeboatError)) throw error;
    if (error.code === 'integrity') record.failures.push(error);
    else impossible = error;
  }
  const problems = [...record.failures, ...(impossible === undefined ? [] : [impossible])];
  return {
    name,
    kind,
    result: record.failures.length > 0 ? 'failed' : impossible === undefined ? 'equal' : 'impossible',
    durationMs: Math.round(performance.now() - started),
    bytes: bytes(),
    steps: record.steps,
    counts: record.counts,
    versions: record.versions,
    isolation: record.isolation,
    summary: record.summary,
    problems: problems.map(({ message }) => message),
    code: problems[0]?.code,
    hint: problems[0]?.hint,
    notes: [...new Set(record.notes)],
  };
}

/** What a restore warns of (a locale, a tablespace that is not here) is only worth a note where all is thrown away. */
function demoting(record: DrillRecord, context: RunContext): RunContext {
  return {
    signal: context.signal,
    emit: (event) => {
      if (event.type === 'warning') record.notes.push(event.message);
      context.emit(event.type === 'warning' ? { ...event, type: 'step' } : event);
    },
  };
}

/** The same reader, and how many bytes it has given. */
export function countingReader(reader: ArtifactReader): {
  readonly reader: ArtifactReader;
  readonly bytes: () => number;
} {
  let bytes = 0;
  async function* counted(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of stream) {
      bytes += piece.length;
      yield piece;
    }
  }
  return {
    reader: { artifacts: reader.artifacts, open: (name, range) => counted(reader.open(name, range)) },
    bytes: () => bytes,
  };
}
