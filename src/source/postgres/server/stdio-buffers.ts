/**
 * Larger buffers of pg_dump's output and pg_restore's input. Both use C's stdio, which moves 4 KiB at a time through a
 * pipe, each of which wakes the other side; coreutils' library behind stdbuf(1) sets another size, where it is there.
 */
import { existsSync } from 'node:fs';

/** Where distributions put it. */
const libraries = ['/usr/libexec/coreutils/libstdbuf.so', '/usr/lib/coreutils/libstdbuf.so'];

/** Environment of a program that writes or reads through stdio. Bytes: 64 KiB, what a pipe holds. */
export function largeBuffers(which: 'output' | 'input'): Record<string, string> {
  const library = libraries.find((path) => existsSync(path));
  return library === undefined
    ? {}
    : { LD_PRELOAD: library, [which === 'output' ? '_STDBUF_O' : '_STDBUF_I']: '65536' };
}
