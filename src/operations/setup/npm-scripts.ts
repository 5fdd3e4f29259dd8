/** The npm scripts of a project that uses lifeboat, added to its package.json. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { fileReason, tellingFileErrors } from '../../lib/file-errors.ts';
import { writeFileAtomic } from '../../lib/fs.ts';

export const npmScripts: Readonly<Record<string, string>> = {
  'backup:init': 'lifeboat init',
  'backup:manual': 'lifeboat backup',
  'backup:create-full': 'lifeboat backup full',
  'backup:status': 'lifeboat status',
  'backup:validate': 'lifeboat validate',
  'backup:validate:quick': 'lifeboat validate --quick',
  'backup:integrity': 'lifeboat integrity',
  'backup:cleanup': 'lifeboat cleanup',
  'backup:cleanup:dry-run': 'lifeboat cleanup --dry-run',
};

/**
 * Adds those that are missing, keeps what is there; true if something was added. Throws `usage` without a package.json
 * that can be read and written.
 */
export async function addNpmScripts(folder: string): Promise<boolean> {
  const path = join(folder, 'package.json');
  let text: string;
  let project: { scripts?: Record<string, string> };
  try {
    text = await readFile(path, 'utf8');
    project = JSON.parse(text) as typeof project;
  } catch (cause) {
    const isUnfit = cause instanceof SyntaxError || systemCodeOf(cause) === 'ENOENT';
    const why = isUnfit ? 'it is not there or not JSON' : fileReason(cause);
    throw new LifeboatError('usage', `cannot add scripts to ${path}: ${why}`, {
      state: 'nothing was changed',
      hint: 'run npm init first, or leave out --npm-scripts',
      cause,
    });
  }
  const missing = Object.entries(npmScripts).filter(([name]) => project.scripts?.[name] === undefined);
  if (missing.length === 0) return false;
  const scripts = { ...project.scripts, ...Object.fromEntries(missing) };
  const indent = /^\{\r?\n([ \t]+)/.exec(text)?.[1] ?? '  ';
  const hint = 'run it as a user who may write there, or leave out --npm-scripts';
  const changed = `${JSON.stringify({ ...project, scripts }, undefined, indent)}\n`;
  await tellingFileErrors(`cannot add scripts to ${path}`, { hint }, async () => writeFileAtomic(path, changed, 0o644));
  return true;
}
