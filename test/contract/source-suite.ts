/**
 * The rules of the Source interface, run against every source on a real server (or tree): what a probe may do, when a
 * stream has to fail, what is left of a dump that is stopped, when facts are to be had.
 */
import assert from 'node:assert/strict';
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from '../../src/lib/exec.ts';
import type { Artifact, ArtifactBody, Source } from '../../src/source/source.ts';
import { readPipe } from '../helpers/source/read-pipe.ts';

/** A source under test. */
export interface SourceCase {
  /** Starts what is protected; its content needs more than a pipe holds (64 KiB). */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A new source of it, whose scratch files lie in that folder. */
  open(scratchDir: string): Source;
  /** All that a probe could change, as text. */
  state(): Promise<string>;
  /** Sessions and slots of dumps that are not over, as text; nothing where there is no server. */
  held(): Promise<string>;
  /**
   * A new source that what the bytes come from dies of: `strike` is called with each event, and once a body's program
   * runs, whose output nobody reads until then.
   */
  dying(scratchDir: string): Promise<{ readonly source: Source; strike(): void; end(): Promise<void> }>;
}

export function sourceContract(name: string, subject: SourceCase): void {
  describe(`source contract: ${name}`, () => {
    let scratchDir = '';
    let others: string[] = [];
    before(async () => {
      scratchDir = mkdtempSync(join(tmpdir(), 'source-'));
      await subject.start();
      others = children();
    });
    after(async () => {
      await subject.stop();
      rmSync(scratchDir, { recursive: true, force: true });
    });
    const nothingLeft = async (): Promise<void> => {
      const left = async (): Promise<string> =>
        [...children().filter((each) => !others.includes(each)), ...readdirSync(scratchDir), await subject.held()]
          .filter((each) => each !== '')
          .join('; ');
      // A server notices a closed socket a moment later.
      for (let tries = 0; tries < 100 && (await left()) !== ''; tries++) await sleep(100);
      assert.equal(await left(), '');
    };

    test('a probe changes nothing, and leaves nothing', async () => {
      const state = await subject.state();
      const { problems, identity } = await subject.open(scratchDir).probe(quiet());
      assert.deepEqual(
        problems.filter(({ fatal }) => fatal),
        [],
      );
      assert.notDeepEqual(identity, {});
      assert.equal(await subject.state(), state);
      await nothingLeft();
    });

    test('a whole dump: artifacts of names that can be stored, each once, then facts; nothing is left', async () => {
      const source = subject.open(scratchDir);
      const names: string[] = [];
      for await (const artifact of source.dump(quiet())) {
        names.push(artifact.name);
        await drain(artifact.body, quiet().signal);
      }
      assert.equal(new Set(names).size, names.length);
      for (const each of names) assert.match(each, /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/);
      const { kind, facts } = await source.facts();
      assert.equal(kind, source.kind);
      assert.deepEqual(JSON.parse(JSON.stringify(facts)), facts);
      await nothingLeft();
    });

    test('where its bytes come from dies: the dump fails, there are no facts, nothing is left', async () => {
      const { source, strike, end } = await subject.dying(scratchDir);
      await assert.rejects(async () => {
        for await (const { body } of source.dump({ ...quiet(), emit: strike })) {
          await (body.from === 'stream' ? drain(body, quiet().signal) : stuck(body, quiet().signal, strike));
        }
      });
      await assert.rejects(source.facts());
      await end();
      await nothingLeft();
    });

    for (const moment of ['it begins', 'its first body is read'] as const) {
      test(`aborted when ${moment}: it rejects with the reason, there are no facts, nothing is left`, async () => {
        const stop = new AbortController();
        const reason = new Error('enough');
        const source = subject.open(scratchDir);
        const abort = (): void => stop.abort(reason);
        const reading = async (): Promise<void> => {
          const held: Artifact[] = [];
          if (moment === 'it begins') setImmediate(abort);
          for await (const artifact of source.dump({ signal: stop.signal, emit: () => {} })) {
            held.push(artifact);
            const { body } = artifact;
            await (body.from === 'stream' ? readOne(body.stream, abort) : stuck(body, stop.signal, abort));
          }
          assert.fail(`all of ${held.map(({ name: each }) => each).join()} was read`);
        };
        await assert.rejects(reading(), (error) => error === reason);
        await assert.rejects(source.facts());
        await nothingLeft();
      });
    }

    test('facts before the end reject, and a loop that is left early leaves nothing', async () => {
      const source = subject.open(scratchDir);
      await assert.rejects(source.facts(), { code: 'source' });
      for await (const _ of source.dump(quiet())) {
        await assert.rejects(source.facts(), { code: 'source' });
        break;
      }
      await assert.rejects(source.facts(), { code: 'source' });
      await nothingLeft();
    });
  });
}

function quiet(): { readonly signal: AbortSignal; readonly emit: () => void } {
  return { signal: new AbortController().signal, emit: () => {} };
}

/** Reads a body to its end. */
async function drain(body: ArtifactBody, signal: AbortSignal): Promise<void> {
  if (body.from !== 'tool') {
    for await (const _ of body.from === 'pipe' ? readPipe(body.open(signal)) : body.stream);
    return;
  }
  const nowhere = openSync('/dev/null', 'w');
  const tool = await body.run(nowhere, signal);
  closeSync(nowhere);
  await tool.done;
}

/** Runs a program whose output nobody reads; `meanwhile` once it runs. */
async function stuck(
  body: Exclude<ArtifactBody, { from: 'stream' }>,
  signal: AbortSignal,
  meanwhile: () => void,
): Promise<void> {
  if (body.from === 'tool') return stuckTool(body, signal, meanwhile);
  const pipe = body.open(signal);
  try {
    meanwhile();
    await pipe.done;
  } finally {
    pipe.release(new Uint8Array(0));
  }
}

async function stuckTool(
  { run }: Extract<ArtifactBody, { from: 'tool' }>,
  signal: AbortSignal,
  meanwhile: () => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fifo-'));
  const fifo = join(folder, 'fifo');
  await runTool({ file: 'mkfifo', args: [fifo] });
  const reader = openSync(fifo, constants.O_RDWR);
  try {
    const writer = openSync(fifo, constants.O_WRONLY);
    const tool = await run(writer, signal);
    closeSync(writer);
    meanwhile();
    await tool.done;
  } finally {
    closeSync(reader);
    rmSync(folder, { recursive: true });
  }
}

/** Reads on after `meanwhile`, as a consumer does that has not heard of it yet. */
async function readOne(stream: AsyncIterable<Uint8Array>, meanwhile: () => void): Promise<void> {
  for await (const _ of stream) meanwhile();
}

/** "pid name" of the children of this process; a server that a test has started again is no source's. */
function children(): string[] {
  const list = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  return list.flatMap((pid) => {
    try {
      const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
      return name === 'redis-server' ? [] : [`${pid} ${name}`];
    } catch {
      return [];
    }
  });
}

/** Kills the children of this process with that name. */
export function killChildren(name: string): void {
  for (const child of children()) {
    const [pid, comm] = child.split(' ');
    if (comm === name) process.kill(Number(pid), 'SIGKILL');
  }
}
