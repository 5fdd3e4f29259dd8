/**
 * Writes the parts of a backup as plain files that need no lifeboat: .dump for pg_restore, .rdb, .tar, with SHA256SUMS.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdir, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { fileError } from '../../lib/file-errors.ts';
import { makePrivateFolder, type PrivateFolder, syncFolder } from '../../lib/fs.ts';
import { createFileAt, writeNewFile } from '../../lib/held-files.ts';
import { HeldFolder } from '../../lib/held-folder.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ArtifactReader } from '../../source/source.ts';
import { audited } from '../audit/audited.ts';
import { chooseBackup } from '../choose-backup.ts';
import { readComponentFacts } from '../backup-facts.ts';
import { collectLeftovers, withReadRepository } from '../open-repository.ts';
import { refuseProtectedPlace } from '../place-guard.ts';
import { acquireReadLease } from '../read-lease.ts';
import { componentOf } from '../component.ts';
import type { ComponentName, Operation } from '../operation.ts';
import { given, repositoryNeeds, type Some } from '../complete.ts';

type ExportedFile = ExportResult['files'][number];

/** Everything is written into a hidden folder beside the wanted one; its name is the commit point. */
export const exportBackup = audited('export', writeFiles);

export const exportOperation: Operation<ExportOptions, ExportRequest, ExportResult> = {
  need: () => repositoryNeeds,
  complete: (options, { cwd }) => ({ only: [], force: false, ...given(options), folder: resolve(cwd, options.folder) }),
  run: exportBackup,
};

async function writeFiles(loaded: LoadedConfig, request: ExportRequest, context: RunContext): Promise<ExportResult> {
  collectLeftovers(loaded, context);
  await refuseFilled(request.folder);
  const wantedPlace = { path: request.folder, refusal: 'cannot export to', flag: 'the second argument' };
  await refuseProtectedPlace(wantedPlace, loaded.config);
  return withReadRepository(loaded, context, async (repository) => {
    const { manifest } = await chooseBackup(repository, request, context.emit);
    const wanted = wantedOf(manifest, request.only);
    await using _ = await acquireReadLease(repository, { command: 'export', parents: [manifest.id] }, context);
    const unique = `${manifest.id.slice(-8)}-${randomBytes(4).toString('hex')}`;
    const working = join(dirname(request.folder), `.${basename(request.folder)}.exporting-${unique}`);
    try {
      await using made = makeWorkingFolder(working);
      const files = await writeParts(repository, manifest, wanted, made.folder.child('.'), context);
      await publish(made, request.folder);
      return { id: manifest.id, folder: request.folder, files, warnings: [] };
    } catch (error) {
      throw fileError(error, `cannot export to ${request.folder}`, {
        state: 'nothing was exported',
        hint: 'make room there, or name another folder that this user may write to',
      });
    }
  });
}

function wantedOf(manifest: Manifest, only: readonly ComponentName[]): ManifestComponent[] {
  const wanted = manifest.components.filter(({ kind }) => only.length === 0 || only.includes(componentOf(kind)));
  if (wanted.length > 0) return wanted;
  throw new LifeboatError('not_found', `backup ${manifest.id} has no ${only.join(' or ')}`, {
    hint: `it has: ${manifest.components.map(({ name }) => name).join(', ')}`,
  });
}

/** The components' files, the facts, and the sums of them all. */
async function writeParts(
  repository: Repository,
  manifest: Manifest,
  wanted: readonly ManifestComponent[],
  folder: string,
  context: RunContext,
): Promise<ExportedFile[]> {
  const files: ExportedFile[] = [];
  const dataKey = await repository.dataKeyOf(manifest);
  for (const component of wanted) {
    files.push(...(await exportComponent(repository, component, dataKey, folder, context)));
  }
  const facts = Object.fromEntries(await readComponentFacts(repository, manifest));
  files.push(await writeText(folder, 'facts.json', `${JSON.stringify(facts, undefined, 2)}\n`));
  await writeText(folder, 'SHA256SUMS', files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join(''));
  return files;
}

/** Anew: in one that is there somebody else could read what is exported. What it lies in is made if need be. */
function makeWorkingFolder(path: string): PrivateFolder {
  HeldFolder.open(dirname(path), { create: true, owner: 'ours' })[Symbol.dispose]();
  return makePrivateFolder(path);
}

/** Gives what was written its name. An empty folder of that name may be there. */
async function publish({ folder, parent, path }: PrivateFolder, wanted: string): Promise<void> {
  await syncFolder(folder.child('.'));
  await rename(parent.child(basename(path)), parent.child(basename(wanted)));
  await syncFolder(parent.child('.'));
}

async function refuseFilled(folder: string): Promise<void> {
  try {
    if ((await readdir(folder)).length === 0) return;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw fileError(error, `cannot export to ${folder}`, { state: 'nothing was changed' });
  }
  throw new LifeboatError('confirmation', `${folder} is not empty`, {
    state: 'nothing was changed',
    hint: 'export to a folder that is empty or not there yet',
  });
}

async function exportComponent(
  repository: Repository,
  component: ManifestComponent,
  dataKey: Parameters<typeof openArtifacts>[0]['dataKey'],
  folder: string,
  context: RunContext,
): Promise<ExportedFile[]> {
  const reader = openArtifacts({ storage: repository.storage, dataKey, artifacts: component.artifacts });
  const files: ExportedFile[] = [];
  let readBytes = 0;
  for (const { name } of component.artifacts) {
    const written = await writeArtifact(reader, name, join(folder, name), (bytes) => {
      context.signal.throwIfAborted();
      readBytes += bytes;
      context.emit({ type: 'progress', component: component.name, readBytes, newBytes: 0, storedBytes: 0 });
    });
    files.push({ path: name, component: component.name, ...written });
  }
  return files;
}

async function writeArtifact(
  reader: ArtifactReader,
  name: string,
  path: string,
  onBytes: (bytes: number) => void,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  await using file = await createFileAt(path);
  for await (const part of reader.open(name)) {
    hash.update(part);
    await file.writeFile(part);
    bytes += part.length;
    onBytes(part.length);
  }
  await file.sync();
  return { bytes, sha256: hash.digest('hex') };
}

async function writeText(folder: string, name: string, text: string): Promise<ExportedFile> {
  await writeNewFile(join(folder, name), text, { flush: true });
  return {
    path: name,
    component: '',
    bytes: Buffer.byteLength(text),
    sha256: createHash('sha256').update(text).digest('hex'),
  };
}

export interface ExportRequest {
  readonly id: string;
  readonly target?: string | undefined;
  /** Absolute; must be empty or absent. */
  readonly folder: string;
  /** Empty: all. */
  readonly only: readonly ComponentName[];
  readonly force: boolean;
}

/** Which backup to write as plain files, and where to; `folder` may be relative. */
export type ExportOptions = Some<ExportRequest> & Pick<ExportRequest, 'id' | 'folder'>;

export interface ExportResult {
  readonly id: string;
  readonly folder: string;
  readonly files: readonly {
    readonly path: string;
    readonly component: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
  readonly warnings: readonly string[];
}
