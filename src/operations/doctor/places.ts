/** Where a local repository lies in relation to what is backed up: a disk that fails must not take both. */
import { realpath, stat } from 'node:fs/promises';
import { sep } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import { failed, passed, warned, type DataFolder } from './check.ts';
import type { DoctorCheck } from './request.ts';

const elsewhere = 'put the repository on another disk, best on another machine';

/** Nothing to say of a bucket, nor of a folder that is not there. */
export async function checkPlaces(
  { config: { repository } }: LoadedConfig,
  folders: readonly DataFolder[],
): Promise<DoctorCheck[]> {
  if (repository?.kind !== 'local') return [];
  const name = 'repository place';
  const own = await placeOf(repository.path);
  if (own === undefined) return [];
  const checks: DoctorCheck[] = [];
  const shared: string[] = [];
  for (const { what, path } of folders) {
    const place = await placeOf(path);
    if (place === undefined) continue;
    if (isWithin(place.path, own.path)) {
      checks.push(
        failed(name, `${what} lies inside the repository ${own.path}`, 'put the repository elsewhere', 'usage'),
      );
    } else if (isWithin(own.path, place.path)) {
      checks.push(
        warned(
          name,
          `the repository lies inside ${what}; it is left out of the backup, and lost with the rest`,
          elsewhere,
        ),
      );
    } else if (place.device === own.device) shared.push(what);
  }
  if (shared.length > 0) {
    checks.push(warned(name, `the repository is on the same disk as ${shared.join(' and ')}`, elsewhere));
  }
  return checks.length > 0 ? checks : [passed(name, `${own.path} is on no disk with what is backed up`)];
}

async function placeOf(path: string): Promise<{ path: string; device: number } | undefined> {
  try {
    return { path: await realpath(path), device: (await stat(path)).dev };
  } catch {
    return undefined;
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
