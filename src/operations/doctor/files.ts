/**
 * What `lifeboat doctor` checks of file trees: that each is there, can be read, and does not lie in the repository's
 * way.
 */
import { opendir } from 'node:fs/promises';
import type { FilesConfig } from '../../config/config.ts';
import type { RunContext } from '../../lib/events.ts';
import { displayPath } from '../../source/files/names.ts';
import { resolveRoots, type Root } from '../../source/files/roots.ts';
import { filesSource } from '../../source/files/source.ts';
import { attempt, failed, passed, warned, type ComponentFindings, type DataFolder } from './check.ts';

export async function checkFiles(target: string, config: FilesConfig, context: RunContext): Promise<ComponentFindings> {
  const name = `${target}: files`;
  const folders: DataFolder[] = [];
  const checks = await attempt(name, context, async (limited) => {
    const roots = await resolveRoots(config.paths);
    folders.push(...roots.map((root) => ({ what: displayPath(root.path), path: root.realPath.toString() })));
    const { problems } = await filesSource(config).probe(limited);
    const found = problems.map(({ message, hint, fatal }) =>
      fatal ? failed(name, message, hint, 'source') : warned(name, message, hint),
    );
    for (const root of roots) {
      if (await isEmpty(root)) found.push(warned(name, `${displayPath(root.path)} is empty`, 'is its disk mounted?'));
    }
    return found.length > 0
      ? found
      : passed(name, `${roots.map((root) => displayPath(root.path)).join(', ')} can be read`);
  });
  return { checks, folders };
}

async function isEmpty({ realPath, stat }: Root): Promise<boolean> {
  if (!stat.isDirectory()) return false;
  try {
    await using folder = await opendir(realPath);
    return (await folder.read()) === null;
  } catch {
    // That it cannot be read was told already.
    return false;
  }
}
