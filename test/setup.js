/**
 * Makes a checkout ready to run: the packages of package-lock.json (with a current Node among them), the
 * Debian packages that the tests' servers come from, and other versions of those servers. Does nothing, and
 * needs no network, when all is there. It never starts, stops or changes a server or a database cluster of
 * this machine.
 *
 * Standard-library JavaScript for Node 20, since it runs before the newer Node is installed; npm scripts
 * go on with `npm run`, as the shell that ran this one remembers where it found the old `node`.
 *
 *   node test/setup.js [--tools=long|all|servers|none] [--versions=smoke|long|all|NAME]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const ownNode = join(root, 'node_modules/.bin/node');

/** What is needed, the Debian package that brings it, and for what: the quickstart, all tests, or the long ones too. */
const tools = [
  { names: ['postgres', 'pg_dump', 'initdb'], debian: 'postgresql', set: 'servers' },
  { names: ['redis-server', 'redis-cli', 'redis-check-rdb'], debian: 'redis-server', set: 'servers' },
  { names: ['bwrap'], debian: 'bubblewrap', set: 'servers' },
  { names: ['ceph-mon', 'monmaptool', 'ceph'], debian: 'ceph-mon', set: 'all' },
  { names: ['ceph-osd'], debian: 'ceph-osd', set: 'all' },
  { names: ['radosgw', 'radosgw-admin'], debian: 'radosgw', set: 'all' },
  { names: ['zstd'], debian: 'zstd', set: 'all' },
  { names: ['openssl'], debian: 'openssl', set: 'all' },
  { names: ['patchelf'], debian: 'patchelf', set: 'all' },
  { names: ['systemd-analyze', 'systemd-notify'], debian: 'systemd', set: 'all' },
  { names: ['prometheus', 'promtool'], debian: 'prometheus', set: 'all' },
  { names: ['prometheus-pushgateway'], debian: 'prometheus-pushgateway', set: 'all' },
  { names: ['curl'], debian: 'curl', set: 'all' },
  { names: ['unzip'], debian: 'unzip', set: 'all' },
  { names: ['pdftotext', 'pdfinfo'], debian: 'poppler-utils', set: 'all' },
  { names: ['bzip2'], debian: 'bzip2', set: 'all' },
  { names: ['cron', 'crontab'], debian: 'cron', set: 'all' },
  { names: ['sshd', 'ssh-keygen'], debian: 'openssh-server', set: 'all' },
  { names: ['faketime'], debian: 'faketime', set: 'long' },
];

/** Ends with a message that says what to do. */
class SetupError extends Error {}

try {
  await installNodePackages();
  const tools = optionOf('tools') ?? 'all';
  await installDebianPackages(tools);
  const versions = optionOf('versions') ?? (['all', 'long'].includes(tools) ? 'smoke' : undefined);
  if (versions !== undefined) await fetchServerVersions(versions);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`setup: ${error.message}`);
  process.exitCode = 1;
}

/** The value of --NAME=VALUE. */
function optionOf(name) {
  return process.argv.find((each) => each.startsWith(`--${name}=`))?.slice(name.length + 3);
}

async function installNodePackages() {
  const stale = whyStale();
  if (stale !== undefined) {
    console.error(`setup: npm ci (${stale})`);
    // Without node_modules/.bin in PATH: npm must not run on the Node that it is about to replace.
    const path = (process.env.PATH ?? '')
      .split(':')
      .filter((each) => !each.endsWith('node_modules/.bin'))
      .join(':');
    const code = await run(
      'npm',
      ['ci', '--include=dev', '--include=optional', '--prefer-offline', '--no-audit', '--no-fund'],
      { PATH: path },
    );
    if (code !== 0) {
      throw new SetupError(`npm ci failed (${code}): see above; it needs the npm registry, or a filled npm cache`);
    }
  }
  const version = versionOfOwnNode();
  if (version === undefined) {
    throw new SetupError(
      `${ownNode} does not run: npm may have blocked the install script of the package "node"; run: npm rebuild ` +
        'node --foreground-scripts',
    );
  }
}

/** Why node_modules is not what package-lock.json says; undefined if it is. */
function whyStale() {
  const wanted = packagesIn(join(root, 'package-lock.json'));
  const present = packagesIn(join(root, 'node_modules/.package-lock.json'));
  if (wanted === undefined) throw new SetupError('package-lock.json is missing or damaged: restore it with git');
  if (present === undefined) return 'node_modules is missing or incomplete';
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = present[path]?.version;
    if (found === version && existsSync(join(root, path))) continue;
    if (found === undefined && optional === true) continue;
    return `${path.replace(/^node_modules\//, '')} is ${found ?? 'missing'}, wanted ${version}`;
  }
  if (!existsSync(ownNode)) return 'node_modules/.bin/node is missing';
  return undefined;
}

function packagesIn(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

function versionOfOwnNode() {
  const { status, stdout } = spawnSync(ownNode, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

async function installDebianPackages(set) {
  if (!['long', 'all', 'servers', 'none'].includes(set)) {
    throw new SetupError(`--tools=${set}: use --tools=long, --tools=all, --tools=servers or --tools=none`);
  }
  if (set === 'none') return;
  const missing = missingTools(set);
  if (missing.length === 0) return;
  const packages = missing.map((each) => each.debian);
  const install = `apt-get install --no-install-recommends ${packages.join(' ')}`;
  const what = missing.flatMap((each) => each.names).join(', ');
  if (!isInstalled('apt-get')) throw new SetupError(`missing: ${what}. Install them (on Debian: ${install})`);
  if (process.getuid?.() !== 0) throw new SetupError(`missing: ${what}. Run this as root, then try again: ${install}`);
  console.error(`setup: ${install}`);
  const undo = keepServersQuiet();
  const unitsBefore = systemdUnits();
  try {
    await aptGet(['update']);
    await aptGet(['install', '--no-install-recommends', ...packages]);
    disableUnits(systemdUnits().filter((each) => !unitsBefore.includes(each)));
  } finally {
    undo();
  }
  const still = missingTools(set);
  if (still.length > 0) {
    throw new SetupError(
      `installed ${packages.join(', ')}, but still missing: ${still.flatMap((each) => each.names).join(', ')}`,
    );
  }
}

/** One at a time on this machine, by a lock on the folder that they come into. */
async function fetchServerVersions(names) {
  const fetch = join(root, 'test/helpers/versions/fetch.ts');
  const code = await run('flock', ['--no-fork', '/usr/local/lib', ownNode, fetch, names], {});
  if (code !== 0) throw new SetupError('other versions of PostgreSQL, Redis and Valkey are missing: see above');
}

function missingTools(set) {
  const sets = { none: [], servers: ['servers'], all: ['servers', 'all'], long: ['servers', 'all', 'long'] }[set];
  return tools.filter((each) => sets.includes(each.set) && !each.names.every(isInstalled));
}

function isInstalled(name) {
  const folders = [
    ...(process.env.PATH ?? '').split(':'),
    '/usr/local/bin',
    '/usr/sbin',
    '/usr/bin',
    '/sbin',
    '/bin',
    ...postgresFolders(),
  ];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, name)));
}

/** Debian keeps each major's programs in a folder of its own, not in PATH. */
function postgresFolders() {
  const base = '/usr/lib/postgresql';
  return existsSync(base) ? readdirSync(base).map((major) => join(base, major, 'bin')) : [];
}

async function aptGet(args) {
  const options = ['-y', '-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Options::=--force-confold'];
  const code = await run('apt-get', [...options, ...args], {
    DEBIAN_FRONTEND: 'noninteractive',
    UCF_FORCE_CONFFOLD: '1',
    NEEDRESTART_MODE: 'l',
  });
  if (code !== 0) throw new SetupError(`apt-get ${args.join(' ')} failed (${code}): see above`);
}

/**
 * Debian's packages start their server on installation, and postgresql makes a cluster. Both are asked
 * not to, for as long as the installation runs. Returns what takes these measures back.
 */
function keepServersQuiet() {
  const undo = [];
  const policy = '/usr/sbin/policy-rc.d';
  if (!existsSync(policy) || spawnSync(policy, ['redis-server', 'start']).status !== 101) {
    const aside = `${policy}.lifeboat-setup`;
    if (existsSync(policy)) {
      renameSync(policy, aside);
      undo.push(() => renameSync(aside, policy));
    }
    writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
    undo.push(() => rmSync(policy, { force: true }));
  }
  // Read by postgresql-common, whether it is there already or comes with this installation.
  const folder = '/etc/postgresql-common/createcluster.d';
  const made = mkdirSync(folder, { recursive: true });
  const noCluster = join(folder, 'lifeboat-setup.conf');
  writeFileSync(noCluster, 'create_main_cluster = false\n');
  undo.push(() => {
    rmSync(noCluster, { force: true });
    if (made !== undefined && readdirSync(folder).length === 0) rmSync(folder, { recursive: true });
  });
  return () => {
    for (const each of undo.reverse()) each();
  };
}

function systemdUnits() {
  const folder = '/lib/systemd/system';
  return existsSync(folder)
    ? readdirSync(folder).filter((each) => /\.(service|target)$/.test(each) && !each.includes('@'))
    : [];
}

/** What was just installed for tests shall not run as a service after the next boot either. */
function disableUnits(units) {
  if (units.length === 0 || !isInstalled('systemctl')) return;
  spawnSync('systemctl', ['--quiet', 'disable', ...units], { stdio: 'ignore' });
}

/**
 * Runs a program to its end with its output on our standard error. A signal to us is left to the child, so
 * that what was changed for an installation is changed back in any case.
 */
async function run(file, args, env) {
  let stopped;
  const child = spawn(file, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 2, 2] });
  const onSignal = (signal) => {
    stopped = signal;
    child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);
  const code = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (status, signal) => resolve(status ?? signal));
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, onSignal);
  if (stopped !== undefined) throw new SetupError(`stopped by ${String(stopped)}`);
  return code;
}
