/**
 * Restores of files: each root to its own place where that is free, else beside it; into a live one by a swap of
 * folders.
 */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCodeOf } from '../../lib/errors.ts';
import { fileError, tellingFileErrors } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { HeldFolder } from '../../lib/held-folder.ts';
import { filesFacts, type FilesFacts } from '../../source/files/facts.ts';
import { restoreFiles, type FilesRestoreReport } from '../../source/files/restore.ts';
import { counted, formatBytes } from '../../lib/units.ts';
import { factsOf } from '../backup-facts.ts';
import type { RestoredComponent } from './request.ts';
import { refuseProtectedPlace } from '../place-guard.ts';
import { findFolder, type FoundFolder } from './marks.ts';
import { placeOf, refuseMoved } from './root-place.ts';
import { keptAs, swapFolders } from './swap-folders.ts';
import { sizeOf, stampOf, type RestoreStep, type RestoreSubject } from './step.ts';

export async function planFiles(subject: RestoreSubject): Promise<RestoreStep[]> {
  const { request } = subject;
  const facts = factsOf(filesFacts, subject.facts, subject.component, subject.manifest.id);
  const { paths, toDir, intoLive } = request.files;
  if (toDir !== undefined) {
    await refuseProtectedPlace({ path: toDir, refusal: 'cannot restore to', flag: '--to-dir' }, subject.config);
    return [plain(subject, facts, toDir, { targetDir: toDir, ...(paths.length === 0 ? {} : { paths }) })];
  }
  if (paths.length > 0 && intoLive) return inPlace(subject, facts);
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

/**
 * Chosen paths back to where they were taken from, each file replaced on its own; what is below a root that is a link
 * goes to where that leads.
 */
function inPlace(subject: RestoreSubject, facts: FilesFacts): RestoreStep[] {
  const { paths } = subject.request.files;
  const linked = facts.roots.flatMap((root) => {
    const below = paths.filter((path) => `${path}/`.startsWith(`${root.path}/`));
    const live = below.length === 0 ? root.path : placeOf(root.path);
    return live === root.path ? [] : [{ root, below, live }];
  });
  const rest = paths.filter((path) => !linked.some(({ below }) => below.includes(path)));
  return [
    ...(rest.length === 0 ? [] : [replaceAt(subject, facts, rest, { targetDir: '/' })]),
    ...linked.map(({ root, below, live }) =>
      replaceAt(subject, facts, below, { targetDir: live, stripPrefix: root.member }),
    ),
  ];
}

function replaceAt(
  subject: RestoreSubject,
  facts: FilesFacts,
  paths: readonly string[],
  to: Pick<Wanted, 'targetDir' | 'stripPrefix'>,
): RestoreStep {
  return {
    ...plain(subject, facts, to.targetDir, { ...to, paths, into: 'existing' }),
    action: 'replace chosen paths',
    replaces: {
      name: subject.manifest.target,
      consequences: [`files and folders at ${paths.join(', ')} are replaced where the backup has them`],
      saveBy: 'files',
    },
  };
}

async function planRoot(
  subject: RestoreSubject,
  facts: FilesFacts,
  root: FilesFacts['roots'][number],
): Promise<RestoreStep> {
  const { request } = subject;
  const state = await stateOf(root.path);
  const isPutThere = request.files.intoLive || state === 'free';
  const live = state !== 'file' && isPutThere ? placeOf(root.path) : root.path;
  const found = await findFolder(request.marks, live);
  if (found !== undefined) return finishStep(subject, live, found);
  const beside = await freeName(`${live}_restored_${stampOf(subject.at)}`);
  const wanted = (targetDir: string): Wanted => ({ targetDir, stripPrefix: root.member });
  if (state === 'file') {
    const targetDir = await freeName(`${dirname(root.path)}/restored_${stampOf(subject.at)}`);
    return plain(subject, facts, targetDir, { targetDir, paths: [root.path] });
  }
  // Whole under a name of its own first: so the next attempt can tell what this one has done. A mount point can take no
  // other's place.
  const swap = (context: RunContext): Promise<RestoredComponent> =>
    restoreAndSwap(subject, facts, { root: root.path, live }, wanted(beside), context);
  if (state === 'free' && request.marks !== undefined && !(await isMountPoint(live))) {
    return { ...plain(subject, facts, live, wanted(beside)), run: swap };
  }
  if (state === 'free') return plain(subject, facts, live, wanted(live));
  if (!request.files.intoLive) return plain(subject, facts, beside, wanted(beside));
  return {
    ...plain(subject, facts, live, wanted(beside)),
    action: 'restore beside, compare, swap',
    replaces: { name: root.path, consequences: [swapConsequence(live)], saveBy: 'files' },
    run: swap,
  };
}

function finishStep(subject: RestoreSubject, live: string, found: FoundFolder): RestoreStep {
  return {
    component: subject.component.name,
    to: live,
    action: 'finish what an earlier attempt has made',
    bytes: 0,
    replaces: undefined,
    run: () => finishFolder(subject, live, found),
  };
}

function swapConsequence(live: string): string {
  return `${live} is renamed and the restored folder takes its place; programs that have it open go on in the old one`;
}

async function restoreAndSwap(
  subject: RestoreSubject,
  facts: FilesFacts,
  { root, live }: { readonly root: string; readonly live: string },
  wanted: Wanted,
  context: RunContext,
): Promise<RestoredComponent> {
  const { marks } = subject.request;
  const kept = (await stateOf(live)) === 'free' ? undefined : `${live}_before_${stampOf(subject.at)}`;
  const mark = { kind: 'files', root: live, beside: wanted.targetDir, kept } as const;
  await marks?.note({ ...mark, whole: false });
  const restored = await restoreTo(subject, facts, wanted, live, context);
  await marks?.note({ ...mark, whole: true });
  refuseMoved(root, live);
  await swapFolders(live, wanted.targetDir, kept);
  return { ...restored, ...keptAs(live, kept) };
}

/** What was whole when the earlier attempt was cut short is only put in place, if it is not. */
async function finishFolder(
  { component: { name, kind }, request, at }: RestoreSubject,
  live: string,
  found: FoundFolder,
): Promise<RestoredComponent> {
  let { kept } = found;
  if (found.beside !== undefined) {
    const isThere = (await stateOf(live)) !== 'free';
    if (isThere && (kept === undefined || (await stateOf(kept)) !== 'free')) {
      kept = await freeName(`${live}_before_${stampOf(at)}`);
    }
    await request.marks?.note({ kind: 'files', root: live, beside: found.beside, kept, whole: true });
    await swapFolders(live, found.beside, isThere ? kept : undefined);
  }
  return {
    name,
    kind,
    to: live,
    bytes: 0,
    durationMs: 0,
    verified: 'equal',
    summary: 'compared before the interruption',
    ...keptAs(live, kept),
  };
}

async function isMountPoint(path: string): Promise<boolean> {
  const [own, parent] = await Promise.all([
    stat(path).catch(() => undefined),
    stat(dirname(path)).catch(() => undefined),
  ]);
  return own !== undefined && (own.dev !== parent?.dev || own.ino === parent.ino);
}

async function restoreTo(
  { reader, component }: RestoreSubject,
  facts: FilesFacts,
  wanted: Wanted,
  to: string,
  context: RunContext,
): Promise<RestoredComponent> {
  const started = performance.now();
  context.emit({ type: 'step', component: component.name, message: `restoring files to ${wanted.targetDir}` });
  const parent = dirname(wanted.targetDir);
  await tellingFileErrors(`cannot make the folder ${parent}`, { state: 'nothing was restored' }, async () =>
    HeldFolder.open(parent, { create: true, mode: 0o777, owner: 'ours' })[Symbol.dispose](),
  );
  const report = await restoreFiles({ reader, facts, ...wanted }, context);
  warnOf(report, context);
  return {
    name: component.name,
    kind: component.kind,
    to,
    bytes: report.contentBytes,
    durationMs: performance.now() - started,
    verified: 'equal',
    summary: `${counted(report.files, 'file')}, ${formatBytes(report.contentBytes)}`,
  };
}

function warnOf({ skippedDevices, changedFiles }: FilesRestoreReport, { emit }: RunContext): void {
  if (skippedDevices.length > 0) {
    emit({
      type: 'warning',
      component: 'files',
      message: `device nodes are not made: ${skippedDevices.slice(0, 5).join(', ')}`,
    });
  }
  if (changedFiles.length > 0) {
    emit({
      type: 'warning',
      component: 'files',
      message: `had changed while they were backed up: ${changedFiles.slice(0, 5).join(', ')}`,
    });
  }
}

async function stateOf(path: string): Promise<'free' | 'file' | 'filled'> {
  try {
    return (await readdir(path)).length === 0 ? 'free' : 'filled';
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return 'free';
    if (systemCodeOf(error) === 'ENOTDIR') return 'file';
    throw fileError(error, `cannot read ${path}`, { state: 'nothing was changed' });
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
