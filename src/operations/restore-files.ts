/** Restores of files: each root to its own place where that is free, else beside it; into a live one by a swap of folders. */
import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LifeboatError, messageOf, systemCodeOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { syncFolder } from '../lib/fs.ts';
import { filesFacts, type FilesFacts } from '../source/files/facts.ts';
import { restoreFiles, type FilesRestoreReport } from '../source/files/restore.ts';
import { formatBytes } from '../lib/units.ts';
import { factsOf } from './facts-document.ts';
import type { RestoredComponent } from './requests.ts';
import { sizeOf, stampOf, type RestoreStep, type RestoreSubject } from './restore-step.ts';
import { count } from './summaries.ts';

export async function planFiles(subject: RestoreSubject): Promise<RestoreStep[]> {
  const { request } = subject;
  const facts = factsOf(filesFacts, subject.facts, subject.component, subject.manifest.id);
  const { paths, toDir, intoLive } = request.files;
  if (toDir !== undefined) return [plain(subject, facts, toDir, { targetDir: toDir, ...(paths.length === 0 ? {} : { paths }) })];
  if (paths.length > 0 && intoLive) return [inPlace(subject, facts)];
  if (paths.length > 0) {
    const targetDir = await besideFirst(subject, facts);
    return [plain(subject, facts, targetDir, { targetDir, paths })];
  }
  return Promise.all(facts.roots.map((root) => planRoot(subject, facts, root)));
}

type Wanted = Pick<Parameters<typeof restoreFiles>[0], 'targetDir' | 'paths' | 'stripPrefix' | 'into'>;

/** Into a folder that is empty or not there. */
function plain(subject: RestoreSubject, facts: FilesFacts, to: string, wanted: Wanted): RestoreStep {
  return {
    component: subject.component.name,
    to,
    action: wanted.paths === undefined ? 'restore and compare' : 'restore chosen paths and compare',
    bytes: sizeOf(subject.component),
    replaces: undefined,
    run: (context) => restoreTo(subject, facts, wanted, to, context),
  };
}

/** Chosen paths back to where they were taken from, each file replaced on its own. */
function inPlace(subject: RestoreSubject, facts: FilesFacts): RestoreStep {
  const { paths } = subject.request.files;
  return {
    ...plain(subject, facts, '/', { targetDir: '/', paths, into: 'existing' }),
    action: 'replace chosen paths',
    replaces: { name: subject.manifest.target, consequences: [`files and folders at ${paths.join(', ')} are replaced where the backup has them`], saveBy: 'files' },
  };
}

async function planRoot(subject: RestoreSubject, facts: FilesFacts, root: FilesFacts['roots'][number]): Promise<RestoreStep> {
  const state = await stateOf(root.path);
  const beside = await freeName(`${root.path}_restored_${stampOf(subject.at)}`);
  const wanted = (targetDir: string): Wanted => ({ targetDir, stripPrefix: root.member });
  if (state === 'file') {
    const targetDir = await freeName(`${dirname(root.path)}/restored_${stampOf(subject.at)}`);
    return plain(subject, facts, targetDir, { targetDir, paths: [root.path] });
  }
  if (state === 'free') return plain(subject, facts, root.path, wanted(root.path));
  if (!subject.request.files.intoLive) return plain(subject, facts, beside, wanted(beside));
  return {
    ...plain(subject, facts, root.path, wanted(beside)),
    action: 'restore beside, compare, swap',
    replaces: { name: root.path, consequences: [`${root.path} is renamed and the restored folder takes its place; programs that have it open go on in the old one`], saveBy: 'files' },
    run: (context) => restoreAndSwap(subject, facts, root.path, wanted(beside), context),
  };
}

async function restoreAndSwap(subject: RestoreSubject, facts: FilesFacts, live: string, wanted: Wanted, context: RunContext): Promise<RestoredComponent> {
  const restored = await restoreTo(subject, facts, wanted, live, context);
  const kept = `${live}_before_${stampOf(subject.at)}`;
  const state = `the restored folder is complete: ${wanted.targetDir}`;
  try {
    await rename(live, kept);
  } catch (cause) {
    throw new LifeboatError('usage', `cannot rename ${live}: ${messageOf(cause)}`, { state, hint: 'a mount point cannot be swapped: copy the restored folder into it', cause });
  }
  try {
    await rename(wanted.targetDir, live);
  } catch (cause) {
    await rename(kept, live);
    throw new LifeboatError('usage', `cannot rename ${wanted.targetDir}: ${messageOf(cause)}`, { state: `${live} is as it was; ${state}`, cause });
  }
  await syncFolder(dirname(live));
  return { ...restored, kept, undo: `mv -T ${live} ${live}_undone && mv -T ${kept} ${live}` };
}

async function restoreTo({ reader, component }: RestoreSubject, facts: FilesFacts, wanted: Wanted, to: string, context: RunContext): Promise<RestoredComponent> {
  const started = performance.now();
  context.emit({ type: 'step', component: component.name, message: `restoring files to ${wanted.targetDir}` });
  await mkdir(dirname(wanted.targetDir), { recursive: true });
  const report = await restoreFiles({ reader, facts, ...wanted }, context);
  warnOf(report, context);
  return { name: component.name, kind: component.kind, to, bytes: report.contentBytes, durationMs: performance.now() - started, verified: 'equal', summary: `${count(report.files, 'file')}, ${formatBytes(report.contentBytes)}` };
}

function warnOf({ skippedDevices, changedFiles }: FilesRestoreReport, { emit }: RunContext): void {
  if (skippedDevices.length > 0) emit({ type: 'warning', component: 'files', message: `device nodes are not made: ${skippedDevices.slice(0, 5).join(', ')}` });
  if (changedFiles.length > 0) emit({ type: 'warning', component: 'files', message: `had changed while they were backed up: ${changedFiles.slice(0, 5).join(', ')}` });
}

async function stateOf(path: string): Promise<'free' | 'file' | 'filled'> {
  try {
    return (await readdir(path)).length === 0 ? 'free' : 'filled';
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return 'free';
    if (systemCodeOf(error) === 'ENOTDIR') return 'file';
    throw new LifeboatError('usage', `cannot read ${path}: ${messageOf(error)}`, { cause: error, state: 'nothing was changed' });
  }
}

async function besideFirst({ at }: RestoreSubject, { roots }: FilesFacts): Promise<string> {
  return freeName(`${roots[0]?.path ?? join('/', 'files')}_restored_${stampOf(at)}`);
}

/** Found out while planning: another restore of the same second must not fail half-way, after other parts are done. */
async function freeName(wanted: string): Promise<string> {
  for (let n = 1; ; n++) {
    const name = n === 1 ? wanted : `${wanted}_${n}`;
    if ((await stateOf(name)) === 'free') return name;
  }
}
