/**
 * File trees as something to back up: files.tar, a plain pax tar that GNU tar extracts, and
 * files.catalog, which names each of its members. Kept are content, modes, owners, times of last change
 * to the nanosecond, symlinks, hard links, holes and device numbers. Not kept: extended attributes,
 * ACLs and file flags (Node has no calls for them), sockets and pipes (a warning names them).
 */
import { realpath } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import {
  leftEarly,
  type Artifact,
  type ComponentFacts,
  type Json,
  type Problem,
  type Source,
  type SourceInfo,
} from '../source.ts';
import { writeArchive } from './archive.ts';
import type { FilesFacts } from './facts.ts';
import { closeFile, openFolder, statLink } from './system-calls.ts';
import { createLinkTable, defaultLinkLimit } from './link-table.ts';
import { decodeName, displayPath } from './names.ts';
import { readOwnerNames } from './owners.ts';
import { compilePatterns } from './pattern.ts';
import { type Root, resolveRoots } from './roots.ts';
import { Spool } from './spool.ts';
import { Tally } from './tally.ts';
import { walk, type WalkOptions, type WalkProblem } from './walker.ts';

export interface FilesSourceOptions {
  /** Absolute paths of folders or files. */
  readonly paths: readonly string[];
  /** Patterns (see pattern.ts); empty: everything. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Absolute paths of folders that must not get into the backup, the repository above all. */
  readonly excludeFolders?: readonly string[];
  /** Stay on the file system of each root; a folder where another one is mounted is stored empty. Default false. */
  readonly oneFileSystem?: boolean;
  /** Where the catalog is spooled; default the system's temporary folder. */
  readonly scratchDir?: string;
  /** How many files with several names are remembered at a time. */
  readonly linkLimit?: number;
}

export const tarName = 'files.tar';
export const catalogName = 'files.catalog';

/** A source for one dump of these paths. */
export function filesSource(options: FilesSourceOptions): Source {
  let facts: FilesFacts | undefined;
  return {
    kind: 'files',
    probe: () => probe(options),
    dump: (context) => dump(options, context, (complete) => (facts = complete)),
    facts: async (): Promise<ComponentFacts> => {
      if (facts === undefined) throw leftEarly();
      return { kind: 'files', facts: facts satisfies Json };
    },
  };
}

async function probe(options: FilesSourceOptions): Promise<SourceInfo> {
  const roots = await resolveRoots(options.paths);
  const found = await Promise.all(roots.map(unreadableRoot));
  return {
    serverVersion: undefined,
    identity: { paths: roots.map((root) => displayPath(root.path)).join(', ') },
    // Only a whole walk could tell.
    estimatedBytes: undefined,
    problems: found.filter((problem) => problem !== undefined),
  };
}

async function unreadableRoot(root: Root): Promise<Problem | undefined> {
  if (!root.stat.isDirectory()) return undefined;
  try {
    await closeFile((await openFolder(root.realPath)).fd);
    return undefined;
  } catch {
    return {
      message: `${displayPath(root.path)} cannot be read`,
      hint: 'run lifeboat as a user who can read it',
      fatal: true,
    };
  }
}

async function* dump(
  options: FilesSourceOptions,
  context: RunContext,
  complete: (facts: FilesFacts) => void,
): AsyncGenerator<Artifact> {
  const roots = await resolveRoots(options.paths);
  const excludedFolders = await identify(options.excludeFolders ?? [], roots);
  const tally = new Tally(context.emit);
  const spool = await Spool.open(options.scratchDir);
  // Ends a tar that is still being read when the consumer leaves.
  const left = new AbortController();
  const signal = AbortSignal.any([context.signal, left.signal]);
  const tarEnd = outcomeOf(signal);
  const catalogEnd = outcomeOf(signal);
  try {
    const problem = ({ kind, member, reason }: WalkProblem): void => tally.trouble(kind, member, reason);
    const entries = walk({ ...walkOptions(options), roots, excludedFolders, signal, problem });
    const links = createLinkTable(options.linkLimit ?? defaultLinkLimit);
    const archive = writeArchive({ entries, links, owners: readOwnerNames(), spool, tally, signal });
    yield artifact(tarName, 'application/x-tar', settling(archive, tarEnd));
    // The catalog is complete when the tar is: whoever asks for it early waits for that.
    await tarEnd.promise;
    complete({ roots: roots.map(rootFacts), ...tally.facts(), fingerprint: spool.digest() });
    yield artifact(catalogName, 'application/x-ndjson', settling(spool.read(), catalogEnd));
    await catalogEnd.promise;
  } finally {
    left.abort(new Error('the dump of files was ended early'));
    await spool.close();
  }
}

function walkOptions({
  include,
  exclude,
  oneFileSystem = false,
}: FilesSourceOptions): Pick<WalkOptions, 'include' | 'exclude' | 'oneFileSystem'> {
  return {
    include: include.length === 0 ? undefined : compilePatterns(include),
    exclude: compilePatterns(exclude),
    oneFileSystem,
  };
}

function artifact(name: string, mediaType: string, stream: AsyncIterable<Uint8Array>): Artifact {
  return { name, mediaType, body: { from: 'stream', stream } };
}

/** How a stream will end; an abort ends it too. Nobody needs to wait for it. */
function outcomeOf(signal: AbortSignal): PromiseWithResolvers<void> {
  const outcome = Promise.withResolvers<void>();
  outcome.promise.catch(() => {});
  signal.addEventListener('abort', () => outcome.reject(signal.reason), { once: true });
  return outcome;
}

/** The same stream; `outcome` tells how it ended, also when its reader leaves before the end. */
async function* settling(
  stream: AsyncIterable<Uint8Array>,
  outcome: PromiseWithResolvers<void>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
    outcome.resolve();
  } catch (error) {
    outcome.reject(error);
    throw error;
  } finally {
    outcome.reject(new Error('a stream of files was not read to its end'));
  }
}

function rootFacts(root: Root): FilesFacts['roots'][number] {
  return {
    path: decodeName(root.path),
    member: decodeName(root.member),
    ...(root.followed ? { realPath: displayPath(root.realPath) } : {}),
  };
}

/** Folders by device and inode: so they are known under any path, through symlinks and bind mounts. */
async function identify(folders: readonly string[], roots: readonly Root[]): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const folder of folders) {
    const stat = await statLink(await followed(folder)).catch(() => undefined);
    if (stat !== undefined) ids.add(`${stat.dev}:${stat.ino}`);
  }
  const inside = roots.find((root) => ids.has(`${root.stat.dev}:${root.stat.ino}`));
  if (inside !== undefined) {
    throw new LifeboatError('usage', `cannot back up ${displayPath(inside.path)}: the repository lies there`, {
      hint: 'put the repository elsewhere, best on another machine',
    });
  }
  return ids;
}

async function followed(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}
