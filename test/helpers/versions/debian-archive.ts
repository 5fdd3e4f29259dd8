/**
 * Packages of other suites of Debian, from the archive that this machine's apt is set to use: read by apt-get with
 * lists of its own, as if on a machine on which nothing that only an installed system needs were missing. Nothing of
 * this machine's own apt is changed.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** One suite, its lists read. */
export interface Suite {
  readonly name: string;
  /** Those that have to be there for these, with their versions; undefined where the suite lacks one of them. */
  plan(packages: readonly string[]): Promise<ReadonlyMap<string, string> | undefined>;
  /** Fetches packages as files into a folder, and checks them by the archive's signatures. Their paths. */
  download(packages: readonly string[], folder: string): Promise<string[]>;
  /** Fetches the files of a source package in the same way; of a suite that was opened for them. */
  downloadSource(name: string, folder: string): Promise<string[]>;
}

/**
 * Reads the lists of a suite, of packages or of source packages, into a folder of our own. Fails where the archive has
 * no such suite.
 */
export async function openSuite(name: string, home: string, kind: 'deb' | 'deb-src' = 'deb'): Promise<Suite> {
  const { main, security } = await archives();
  await mkdir(join(home, 'state/lists/partial'), { recursive: true });
  await mkdir(join(home, 'cache/archives/partial'), { recursive: true });
  await writeFile(join(home, 'status'), takenForGranted.map(installed).join('\n'));
  await writeFile(join(home, 'preferences'), preferences);
  const apt = (program: string, ...args: string[]) =>
    run(program, [...options(home), ...args], { maxBuffer: 1 << 28, cwd: home });
  const update = async (withSecurity: boolean): Promise<unknown> => {
    const lines = [`${main} ${name} main`];
    if (name === 'experimental') lines.push(`${main} sid main`);
    if (withSecurity) lines.push(`${security} ${name}-security main`);
    await writeFile(join(home, 'sources.list'), lines.map((line) => `${kind} [${keys}] ${line}\n`).join(''));
    return apt('apt-get', '-qq', '--error-on=any', 'update');
  };
  // Not every mirror of the security archive has sources.
  const mayHaveSecurity = kind === 'deb' && security !== undefined && !['sid', 'experimental'].includes(name);
  // A suite may have no security archive yet, or none any more.
  await update(mayHaveSecurity).catch(async (error: unknown) => {
    if (!mayHaveSecurity) throw error;
    return update(false);
  });
  return {
    name,
    plan: async (packages) => {
      const simulated = apt('apt-get', '-qq', '--no-install-recommends', '--simulate', 'install', ...packages);
      const { stdout } = await simulated.catch(() => ({ stdout: '' }));
      // "Inst libpq5 (17.6-0+deb13u1 Debian:13.1/stable [amd64])"
      const found = new Map(
        [...stdout.matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, each = '', version = '']) => [each, version]),
      );
      return packages.every((each) => found.has(each)) ? found : undefined;
    },
    download: async (packages, folder) => fetchInto(folder, home, ['download', ...packages]),
    downloadSource: async (source, folder) => fetchInto(folder, home, ['source', '--download-only', source]),
  };
}

async function fetchInto(folder: string, home: string, args: readonly string[]): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  await run('apt-get', [...options(home), '-qq', ...args], { cwd: folder, maxBuffer: 1 << 26 });
  return (await readdir(folder)).map((file) => join(folder, file));
}

const keys = 'signed-by=/usr/share/keyrings/debian-archive-keyring.gpg';

/** Where this machine's apt finds Debian, and its security archive. */
async function archives(): Promise<{ main: string; security: string | undefined }> {
  const args = ['indextargets', '--format', '$(SITE) $(CODENAME)', 'Created-By: Packages'];
  const lines = (await run('apt-get', args)).stdout.split('\n').map((line) => line.split(' '));
  const codename = '(?:bullseye|bookworm|trixie|forky|duke)';
  const site = (wanted: RegExp): string | undefined => lines.find(([, name = '']) => wanted.test(name))?.[0];
  const main = site(new RegExp(`^(?:${codename}|sid)$`));
  if (main === undefined) throw new Error("apt's lists hold no suite of Debian (apt-get update fetches them)");
  return { main, security: site(new RegExp(`^${codename}-security$`)) };
}

/** Packages that matter only to an installed system. */
const takenForGranted = (
  'locales debconf adduser perl perl-base ssl-cert tzdata procps lsb-base init-system-helpers sysvinit-utils ' +
  'postgresql-common postgresql-client-common'
).split(' ');

function installed(name: string): string {
  return (
    `Package: ${name}\nStatus: install ok installed\nVersion: 9999\nArchitecture: amd64\n` +
    'Multi-Arch: foreign\nProvides: debconf-2.0\n'
  );
}

/** Of experimental only what is asked for; sid has the rest. */
const preferences =
  'Package: /^postgresql-/ libpq5 redis-server redis-tools valkey-server valkey-tools\n' +
  'Pin: release a=experimental\nPin-Priority: 990\n';

function options(home: string): string[] {
  const settings = {
    'Dir::Etc::sourcelist': join(home, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::Etc::preferences': join(home, 'preferences'),
    'Dir::Etc::preferencesparts': '-',
    'Dir::State': join(home, 'state'),
    'Dir::State::status': join(home, 'status'),
    'Dir::Cache': join(home, 'cache'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled': 'false',
    'APT::Architecture': 'amd64',
    'APT::Architectures::': 'amd64',
    'APT::Get::Assume-Yes': 'true',
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}
