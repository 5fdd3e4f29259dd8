/** Components that share places: whichever way one ends, the others end too, also where they wait for a place. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { dumpComponents } from '../../../../src/operations/backup/dump.ts';
import type { ComponentSource } from '../../../../src/operations/targets.ts';
import type { BackupWriter } from '../../../../src/repository/packs/backup-writer.ts';
import type { Artifact } from '../../../../src/source/source.ts';

/** What waits for ever must not keep the tests waiting for longer. */
const timeout = 20_000;

/** Takes what the streams give, as fast as it comes; a stop ends one like its own failure. */
const writer = {
  store: async (_: string, { name, body }: Artifact, signal: AbortSignal) => {
    assert.ok(body.from === 'stream');
    for await (const __ of body.stream) await turn();
    signal.throwIfAborted();
    return { name };
  },
  totals: () => ({ readBytes: 0, newBytes: 0, storedBytes: 0 }),
} as unknown as BackupWriter;

function component(name: string, streams: readonly AsyncIterable<Uint8Array>[]): ComponentSource {
  const source = {
    kind: 'files',
    dump: async function* (): AsyncGenerator<Artifact> {
      for (const [n, stream] of streams.entries()) {
        yield { name: `${name}-${n}`, mediaType: 'text/plain', body: { from: 'stream', stream } };
      }
    },
    facts: async () => ({ kind: 'files', facts: {} }),
  };
  return { name, component: 'files', source } as unknown as ComponentSource;
}

async function* endsWith(release: Promise<void>, error?: Error): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(1);
  await release;
  if (error !== undefined) throw error;
}

/** One component holds all places and wants one more; three others wait behind it until `release`. */
const dump = (jobs: number, release: Promise<void>, signal: AbortSignal, error?: Error): Promise<unknown> => {
  const held = Array.from({ length: jobs }, (_, n) => endsWith(release, n === 0 ? error : undefined));
  const components = [
    component('holder', [...held, endsWith(release)]),
    component('second', [endsWith(release), endsWith(release)]),
    component('third', [endsWith(release)]),
    component('fourth', [endsWith(release)]),
  ];
  return dumpComponents(components, writer, jobs, new Map(), { signal, emit: () => {} });
};

for (const jobs of [1, 2]) {
  test(`a failure ends those that wait for one of ${jobs} places`, { timeout }, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const failure = new Error('the stream broke');
    const dumping = dump(jobs, promise, new AbortController().signal, failure);
    for (let n = 0; n < 20; n++) await turn();
    resolve();
    await assert.rejects(dumping, failure);
  });

  test(`an interrupt ends those that wait for one of ${jobs} places`, { timeout }, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = new AbortController();
    const reason = new Error('stopped');
    const dumping = dump(jobs, promise, stop.signal);
    for (let n = 0; n < 20; n++) await turn();
    stop.abort(reason);
    resolve();
    await assert.rejects(dumping, reason);
  });
}
