/**
 * Completes package-lock.json: `npm install` leaves out optional packages for other platforms that the
 * registry at hand does not offer, and then `npm ci` refuses the file everywhere ("Missing … from lock
 * file"). Adds them by name, version and platform, which is all that `npm ci` needs to pass over them.
 *
 *   node .ci/build/complete-lock.ts            (npm run lock)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type Packages = Record<string, LockedPackage>;

if (import.meta.main) {
  const path = join(import.meta.dirname, '..', '..', 'package-lock.json');
  const lock = JSON.parse(readFileSync(path, 'utf8')) as { packages: Packages };
  const missing = missingFrom(lock.packages);
  const all = { ...lock.packages, ...Object.fromEntries(missing) };
  lock.packages = Object.fromEntries(Object.entries(all).toSorted(([a], [b]) => a.localeCompare(b, 'en')));
  writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`);
  console.log(`package-lock.json: ${missing.length} added`);
}

/** The optional dependencies that the lock file names and does not hold, as entries for it. */
export function missingFrom(packages: Packages): [string, LockedPackage][] {
  return Object.entries(packages).flatMap(([path, locked]) =>
    Object.entries(locked.optionalDependencies ?? {})
      .filter(
        ([name]) =>
          packages[`${path}/node_modules/${name}`] === undefined && packages[`node_modules/${name}`] === undefined,
      )
      .map(([name, version]): [string, LockedPackage] => [
        `node_modules/${name}`,
        entryOf(name, version, locked.dev === true),
      ]),
  );
}

function entryOf(name: string, version: string, dev: boolean): LockedPackage {
  // By the custom of native packages: …/binding-linux-x64-musl, …/darwin-arm64.
  const found =
    /(android|darwin|freebsd|linux|openharmony|win32)-(arm64|arm|ia32|ppc64|riscv64|s390x|x64)(?:-(.*))?$/.exec(name);
  if (found === null || !/^\d+\.\d+\.\d+/.test(version)) {
    throw new Error(`cannot tell the platform or version of ${name}@${version}: add it to package-lock.json by hand`);
  }
  const [, os = '', cpu = '', kind] = found;
  const libc = os !== 'linux' || kind === undefined ? {} : { libc: [kind.startsWith('musl') ? 'musl' : 'glibc'] };
  return { version, cpu: [cpu], ...(dev ? { dev } : {}), ...libc, optional: true, os: [os] };
}
