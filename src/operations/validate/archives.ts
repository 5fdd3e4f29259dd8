/**
 * Reads each archive of a backup to its end, decoded: dumps by pg_restore into nowhere, snapshots of
 * Redis and tars by our own walkers, each held against the sealed facts. That finds what authentication
 * cannot: an archive that was bad before it was stored.
 */
import { collectAtMost } from '../../lib/bounded-read.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { ManifestArtifact, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { PostgresFacts } from '../../source/postgres/facts/facts.ts';
import type { ArtifactReader, Json } from '../../source/source.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import { digestsOf } from './artifact-digests.ts';
import type { OpenBackup, Tally } from './objects.ts';
import { readDump } from './read-dump.ts';

/** An archive that is not whole, or an object behind it that does not decode. */
export interface ArchiveFault {
  readonly artifact: string;
  /** The object at fault where that is known: a pack or index part. */
  readonly object: string | undefined;
  readonly problem: string;
}

export interface ArchiveReport {
  readonly archives: number;
  readonly faults: readonly ArchiveFault[];
  /** Of the tools that read. */
  readonly versions: Readonly<Record<string, string>>;
}

/** Reads archives; those that are the same chunk by chunk as one that was read already are not read again. */
export class ArchiveCheck {
  readonly #repository: Repository;
  readonly #context: RunContext;
  readonly #tally: Tally;
  readonly #onBytes: (bytes: number) => void;
  /** What reading gave, by the chunks of the artifacts read. */
  readonly #known = new Map<string, Promise<unknown>>();

  constructor(repository: Repository, context: RunContext, tally: Tally, onBytes: (bytes: number) => void) {
    this.#repository = repository;
    this.#context = context;
    this.#tally = tally;
    this.#onBytes = onBytes;
  }

  /**
   * Checks all of a backup but for `damaged`, artifacts that are known not to be readable. Throws `tool` (16) without a
   * pg_restore that fits.
   */
  async check(backup: OpenBackup, damaged: ReadonlySet<string>): Promise<ArchiveReport> {
    const facts = await readComponentFacts(this.#repository, backup.manifest);
    const digests = await digestsOf(this.#repository.storage, backup, this.#tally, this.#context.signal);
    const report = { archives: 0, faults: [] as ArchiveFault[], versions: {} as Record<string, string> };
    for (const component of backup.manifest.components) {
      const reader = openArtifacts({
        storage: this.#repository.storage,
        dataKey: backup.dataKey,
        artifacts: component.artifacts,
      });
      const one: OneComponent = { backup, component, facts, reader: this.#counting(reader), damaged, digests, report };
      if (component.kind === 'postgres') await this.#postgres(one);
      else if (component.kind === 'redis') await this.#redis(one);
      else if (component.kind === 'files') await this.#files(one);
      else for (const artifact of component.artifacts) await this.#body(one, artifact);
    }
    return report;
  }

  async #postgres(one: OneComponent): Promise<void> {
    const [{ postgresFacts }, { findTools }, { Inlets }] = await Promise.all([
      import('../../source/postgres/facts/facts.ts'),
      import('../../source/postgres/server/tools.ts'),
      import('../../lib/inlets.ts'),
    ]);
    const facts = factsOf(postgresFacts, one.facts, one.component, one.backup.id);
    const tools = await findTools(Number.parseInt(facts.toolVersion, 10));
    one.report.versions['pg_restore'] = tools.version;
    await using inlets = new Inlets();
    for (const artifact of one.component.artifacts) {
      if (artifact.name === facts.globals?.artifact) await this.#globals(one, artifact, facts.globals.roles);
      else {
        const { name } = artifact;
        const read = async (): Promise<void> => readDump(tools, inlets, one.reader, name, this.#context.signal);
        await this.#guard(one, [name], async () => this.#once(one, [name], read));
      }
    }
    await this.#contents(one, facts);
  }

  /** The tables of contents of a database's archives must hold each table's rows exactly once. */
  async #contents(one: OneComponent, facts: PostgresFacts): Promise<void> {
    const { checkParts, readToc } = await import('../../source/postgres/restore/toc.ts');
    for (const database of facts.databases) {
      const { schema, data, tables } = database.artifacts;
      const names = [schema, data, ...tables.map(({ artifact }) => artifact)];
      const isBad = (name: string): boolean =>
        one.damaged.has(name) || one.report.faults.some(({ artifact }) => artifact === name);
      if (names.some(isBad)) continue;
      await this.#guard(one, [data], async () => {
        const tocs = new Map<string, Awaited<ReturnType<typeof readToc>>>();
        for (const name of names) tocs.set(name, await readToc(one.reader.open(name)));
        const faults = checkParts(database, tocs);
        if (faults.length === 0) return;
        const what = `the archives of database ${database.name}`;
        throw new LifeboatError('integrity', `${what} do not hold what was recorded: ${faults.slice(0, 3).join('; ')}`);
      });
    }
  }

  async #globals(one: OneComponent, artifact: ManifestArtifact, roles: readonly string[]): Promise<void> {
    await this.#guard(one, [artifact.name], async () => {
      const { maxGlobalsBytes } = await import('../../source/postgres/restore/globals-replay.ts');
      const sql = (await collectAtMost(one.reader.open(artifact.name), maxGlobalsBytes, artifact.name)).toString();
      const missing = roles.filter((role) => !sql.includes(role.replaceAll('"', '""')));
      if (missing[0] !== undefined) throw new LifeboatError('integrity', `it does not name role ${missing[0]}`);
    });
  }

  async #redis(one: OneComponent): Promise<void> {
    const [{ redisFacts }, { summarizeRdb }] = await Promise.all([
      import('../../source/redis/facts.ts'),
      import('../../source/redis/rdb/summary.ts'),
    ]);
    const facts = factsOf(redisFacts, one.facts, one.component, one.backup.id);
    await this.#guard(one, [facts.artifact], async () => {
      const { keys, expires, bytes, fingerprint } = await this.#once(one, [facts.artifact], async () =>
        summarizeRdb(one.reader.open(facts.artifact)),
      );
      const isSameCount = keys === facts.keys && expires === facts.expires && bytes === facts.bytes;
      if (isSameCount && fingerprint === facts.keyFingerprint.value) return;
      const recorded = `${facts.keys} (${facts.expires}) in ${facts.bytes} bytes were recorded`;
      throw new LifeboatError(
        'integrity',
        `it holds ${keys} keys (${expires} with an expiry) in ${bytes} bytes; ${recorded}` +
          (keys === facts.keys ? ', and other keys' : ''),
      );
    });
  }

  async #files(one: OneComponent): Promise<void> {
    const [{ filesFacts }, { walkTar }, { catalogName, tarName }] = await Promise.all([
      import('../../source/files/facts.ts'),
      import('./tar.ts'),
      import('../../source/files/source.ts'),
    ]);
    const facts = factsOf(filesFacts, one.facts, one.component, one.backup.id);
    await this.#guard(one, [tarName, catalogName], async () => {
      const { signal } = this.#context;
      const walked = await this.#once(one, [tarName, catalogName], async () => walkTar(one.reader, signal, () => {}));
      if (walked.fingerprint !== facts.fingerprint) {
        throw new LifeboatError('integrity', 'files.catalog is not the one that was recorded');
      }
    });
  }

  /** For kinds without a reader of their own: all bytes, decoded. */
  async #body(one: OneComponent, { name }: ManifestArtifact): Promise<void> {
    await this.#guard(one, [name], async () =>
      this.#once(one, [name], async () => {
        for await (const _ of one.reader.open(name)) this.#context.signal.throwIfAborted();
      }),
    );
  }

  /** Runs one check; damage becomes a fault of the first artifact. */
  async #guard(
    { damaged, report }: OneComponent,
    artifacts: readonly string[],
    check: () => Promise<unknown>,
  ): Promise<void> {
    if (artifacts.some((name) => damaged.has(name))) return;
    this.#context.signal.throwIfAborted();
    report.archives++;
    try {
      await check();
    } catch (error) {
      if (!(error instanceof LifeboatError) || error.code !== 'integrity') throw error;
      const object = error.facts?.['object'];
      report.faults.push({
        artifact: artifacts[0] ?? '',
        object: typeof object === 'string' ? object : undefined,
        problem: messageOf(error),
      });
    }
  }

  async #once<T>({ digests }: OneComponent, artifacts: readonly string[], read: () => Promise<T>): Promise<T> {
    const key = artifacts.map((name) => `${name}:${digests.get(name) ?? ''}`).join();
    const known = this.#known.get(key) ?? read();
    this.#known.set(key, known);
    return known as Promise<T>;
  }

  #counting(reader: ArtifactReader): ArtifactReader {
    const onBytes = this.#onBytes;
    return {
      artifacts: reader.artifacts,
      open: async function* (name, range) {
        for await (const piece of reader.open(name, range)) {
          onBytes(piece.length);
          yield piece;
        }
      },
    };
  }
}

interface OneComponent {
  readonly backup: OpenBackup;
  readonly component: ManifestComponent;
  readonly facts: ReadonlyMap<string, Json>;
  readonly reader: ArtifactReader;
  readonly damaged: ReadonlySet<string>;
  readonly digests: ReadonlyMap<string, string>;
  readonly report: { archives: number; faults: ArchiveFault[]; versions: Record<string, string> };
}
