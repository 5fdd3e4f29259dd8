/** Takes a dump of files into memory or a folder, and hands it back as a restore reads it. */
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { LifeboatEvent, RunContext } from '../../../src/lib/events.ts';
import { type FilesFacts, filesFacts } from '../../../src/source/files/facts.ts';
import { filesSource, type FilesSourceOptions } from '../../../src/source/files/source.ts';
import type { ArtifactReader } from '../../../src/source/source.ts';

export interface Listener extends RunContext {
  readonly events: LifeboatEvent[];
  readonly warnings: () => string[];
}

export function listener(signal = new AbortController().signal): Listener {
  const events: LifeboatEvent[] = [];
  return {
    signal,
    events,
    emit: (event) => events.push(event),
    warnings: () => events.flatMap((event) => (event.type === 'warning' ? [event.message] : [])),
  };
}

/**
 * Dumps into `folder/files.tar` and `folder/files.catalog`; `onBytes` is called with the bytes read so far after each
 * piece of the tar.
 */
export async function dumpFiles(
  options: Partial<FilesSourceOptions> & { paths: string[] },
  folder: string,
  context: RunContext = listener(),
  onBytes: (bytes: number) => void = () => {},
): Promise<FilesFacts> {
  const source = filesSource({ include: [], exclude: [], ...options });
  for await (const artifact of source.dump(context)) {
    if (artifact.body.from !== 'stream') throw new Error('files come as streams');
    const fd = openSync(join(folder, artifact.name), 'w');
    let bytes = 0;
    for await (const piece of artifact.body.stream) {
      writeSync(fd, piece);
      bytes += piece.length;
      // What was handed out may be used again by the producer: nobody may rely on it any more.
      if (artifact.name === 'files.tar') onBytes(bytes);
    }
    closeSync(fd);
  }
  return filesFacts.parse((await source.facts()).facts);
}

export interface CountingReader extends ArtifactReader {
  /** Every opening: name, and the bytes handed out. */
  readonly opened: { name: string; start: number; end: number; bytes: number }[];
}

/** Reads artifacts that lie in a folder; pieces of `pieceBytes`, in a buffer that is used again. */
export function folderReader(folder: string, pieceBytes = 100_000): CountingReader {
  const opened: CountingReader['opened'] = [];
  const sizeOf = (name: string): number => statSync(join(folder, name)).size;
  return {
    opened,
    artifacts: [
      { name: 'files.tar', mediaType: 'application/x-tar', bytes: sizeOf('files.tar') },
      { name: 'files.catalog', mediaType: 'application/x-ndjson', bytes: sizeOf('files.catalog') },
    ],
    async *open(name, range) {
      const start = range?.start ?? 0;
      const end = range?.end ?? sizeOf(name);
      const record = { name, start, end, bytes: 0 };
      opened.push(record);
      const fd = openSync(join(folder, name), 'r');
      const buffer = Buffer.alloc(pieceBytes);
      try {
        for (let at = start; at < end;) {
          const bytes = readSync(fd, buffer, 0, Math.min(pieceBytes, end - at), at);
          if (bytes === 0) return;
          record.bytes += bytes;
          at += bytes;
          yield buffer.subarray(0, bytes);
          buffer.fill(0xdd);
        }
      } finally {
        closeSync(fd);
      }
    },
  };
}
