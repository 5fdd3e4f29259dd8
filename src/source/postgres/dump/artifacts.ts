/** In which order the artifacts of several pipes are read: of each one at a time, where most is left first. */
import type { Artifact } from '../../source.ts';
import type { DumpPipe } from './pipe.ts';

/** Waits where each pipe that has more is being read. Throws the reason of `signal`. */
export async function* artifactsOf(
  pipes: readonly DumpPipe[],
  signal: AbortSignal,
): AsyncGenerator<Artifact, void, void> {
  for (;;) {
    signal.throwIfAborted();
    const left = pipes.filter(({ isEmpty }) => !isEmpty);
    if (left.length === 0) return;
    const [next] = left.filter(({ reading }) => reading === undefined).sort((a, b) => b.leftBytes - a.leftBytes);
    if (next === undefined) await Promise.race(left.flatMap(({ reading }) => reading ?? []));
    else yield next.give();
  }
}
