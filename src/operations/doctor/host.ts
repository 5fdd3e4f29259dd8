/**
 * What `lifeboat doctor` checks on this host alone: the program, the configuration, and the files and folders that it
 * uses.
 */
import { randomBytes } from 'node:crypto';
import { access, constants, stat } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createZstdCompress } from 'node:zlib';
import type { TargetConfig } from '../../config/config.ts';
import { describeConfig } from '../../config/describe.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { messageOf, systemCodeOf } from '../../lib/errors.ts';
import { fileReason } from '../../lib/file-errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { removeFile, writeNewFile } from '../../lib/held-files.ts';
import { programVersion } from '../../lib/version.ts';
import { attempt, failed, passed, warned } from './check.ts';
import { checkIsolation } from './isolation.ts';
import { checkPrograms } from './programs.ts';
import type { DoctorCheck } from './request.ts';

export async function checkHost(loaded: LoadedConfig, context: RunContext): Promise<readonly DoctorCheck[]> {
  const all = await Promise.all([
    attempt('program', context, () => checkProgram(loaded)),
    attempt('configuration', context, async () => checkConfiguration(loaded)),
    attempt('jobs', context, async () => checkJobs(loaded)),
    attempt('secret files', context, () => checkSecretFiles(loaded)),
    attempt('state folder', context, () => checkStateFolder(loaded.config.stateDir)),
    attempt('drill isolation', context, () => checkIsolation(loaded)),
    attempt('programs', context, () => checkPrograms(loaded.config)),
    attempt('temporary folder', context, () => checkTemporaryFolder()),
  ]);
  return all.flat();
}

async function checkProgram({ config }: LoadedConfig): Promise<DoctorCheck> {
  const message = `lifeboat ${programVersion()} on Node ${process.versions.node}, ${process.platform}-${process.arch}`;
  if (typeof createZstdCompress !== 'function') {
    return failed('program', `${message}: this Node has no zstd`, 'install Node 22.15 or newer', 'tool');
  }
  if (config.compression.method !== 'lz4') return passed('program', message);
  try {
    await import('lz4-napi');
    return passed('program', message);
  } catch {
    return failed(
      'program',
      `${message}: the optional package lz4-napi, which compression lz4 needs, is not installed`,
      'npm install lz4-napi, or choose zstd',
      'tool',
    );
  }
}

function checkConfiguration(loaded: LoadedConfig): DoctorCheck[] {
  const name = 'configuration';
  const { config, file, warnings } = loaded;
  const checks = warnings.map((warning) =>
    warned(name, warning, 'lifeboat config show prints each value with its origin'),
  );
  if (config.targets.size === 0) {
    return [
      ...checks,
      failed(
        name,
        'nothing to back up is configured',
        'set DATABASE_URL, REDIS_URL or BACKUP_FILES, or run: lifeboat init',
        'usage',
      ),
    ];
  }
  const from = overriding(loaded);
  const parts = [
    file ?? 'no configuration file',
    ...(from.length === 0 ? [] : [`from elsewhere: ${from.join(', ')}`]),
    ...[...config.targets.values()].map(partsOf),
  ];
  return [...checks, passed(name, parts.join('; '))];
}

/** Settings that decide where to and from. */
const deciding = [
  /^repository(\.url)?$/,
  /^encryption\.(enabled|key|passphrase|identity|recipients)$/,
  /^stateDir$/,
  /^targets(\.[^.]+\.((postgres|redis)\.url|files\.paths))?$/,
];

/** Those that stand in the environment or on the command line: easily forgotten, hence told. */
function overriding({ origins, file }: LoadedConfig): string[] {
  return [...origins]
    .filter(([path, origin]) => origin !== file && deciding.some((each) => each.test(path)))
    .map(([path, origin]) => `${path} (${origin})`);
}

function partsOf(target: TargetConfig): string {
  const parts = [
    target.postgres === undefined ? undefined : 'database',
    target.redis === undefined ? undefined : 'redis',
    target.files === undefined ? undefined : 'files',
  ];
  return `target ${target.name}: ${parts.filter((part) => part !== undefined).join(', ')}`;
}

function checkJobs({ config: { jobs } }: LoadedConfig): DoctorCheck {
  const cores = availableParallelism();
  const message = `${jobs} streams side by side on ${cores} ${cores === 1 ? 'core' : 'cores'}`;
  if (jobs <= 2 * cores) return passed('jobs', message);
  return warned(
    'jobs',
    `${message}: they wait for each other, and the server bears them all`,
    `set jobs (BACKUP_JOBS) to ${Math.min(4, cores)}`,
  );
}

/** Files that hold keys and passwords: nobody but us and our group may read them. */
async function checkSecretFiles(loaded: LoadedConfig): Promise<DoctorCheck[]> {
  const name = 'secret files';
  const open: DoctorCheck[] = [];
  const files = secretFiles(loaded);
  for (const path of files) {
    const { mode } = await stat(path);
    if ((mode & 0o026) === 0) continue;
    open.push(
      warned(name, `${path} can be ${(mode & 0o004) === 0 ? 'changed' : 'read'} by others`, `chmod 600 ${path}`),
    );
  }
  if (open.length > 0) return open;
  return [passed(name, files.length === 0 ? 'none is configured' : `${files.join(', ')}: not open to others`)];
}

function secretFiles(loaded: LoadedConfig): string[] {
  const named = describeConfig(loaded).flatMap(({ value, secret, origin }) => {
    const path = secret === true ? /^\*\*\* \(file (.*)\)$/s.exec(String(value))?.[1] : undefined;
    if (path === undefined) return [];
    return [origin === loaded.file ? resolve(dirname(loaded.file), path) : resolve(path)];
  });
  const { envFile } = loaded.settings;
  if (envFile !== undefined) named.push(resolve(loaded.file === undefined ? '.' : dirname(loaded.file), envFile));
  return [...new Set(named)];
}

/** It holds journals of what killed runs left and, for some kinds of keys, keys. */
async function checkStateFolder(path: string): Promise<DoctorCheck> {
  const name = 'state folder';
  const hint = 'name a folder of your own: BACKUP_STATE_DIR';
  let there: Awaited<ReturnType<typeof stat>>;
  try {
    there = await stat(path);
  } catch (error) {
    const problem = `cannot use ${path}: ${fileReason(error)}`;
    if (systemCodeOf(error) !== 'ENOENT') return failed(name, problem, hint, 'usage');
    const parent = await nearestFolder(path);
    const writable = await access(parent, constants.W_OK).then(
      () => true,
      () => false,
    );
    return writable
      ? passed(name, `${path} (not there yet)`)
      : failed(name, `cannot make ${path}: ${parent} cannot be written`, hint, 'usage');
  }
  if (!there.isDirectory()) return failed(name, `${path} is not a folder`, hint, 'usage');
  const problem = await writingProblem(path);
  if (problem !== undefined) return failed(name, `cannot write in ${path}: ${problem}`, hint, 'usage');
  if ((there.mode & 0o077) !== 0) {
    return warned(name, `${path} is open to others; keys may lie in it`, `chmod 700 ${path}`);
  }
  if (there.uid !== process.getuid?.()) return warned(name, `${path} belongs to another user (uid ${there.uid})`, hint);
  return passed(name, path);
}

async function nearestFolder(path: string): Promise<string> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (
      folder === dirname(folder) ||
      (await stat(folder).then(
        (found) => found.isDirectory(),
        () => false,
      ))
    ) {
      return folder;
    }
  }
}

/** Streams of tools, the Redis snapshot and the catalog of files go through it. */
async function checkTemporaryFolder(): Promise<DoctorCheck> {
  const path = tmpdir();
  const problem = await writingProblem(path);
  if (problem === undefined) return passed('temporary folder', path);
  return failed('temporary folder', `cannot write in ${path}: ${problem}`, 'name another one by TMPDIR', 'space');
}

/** Only writing tells: rights, read-only mounts and full disks look alike to stat. */
async function writingProblem(folder: string): Promise<string | undefined> {
  const path = join(folder, `.lifeboat-${randomBytes(6).toString('hex')}`);
  try {
    await writeNewFile(path, 'written by lifeboat doctor\n');
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    await removeFile(path).catch(() => {});
  }
}
