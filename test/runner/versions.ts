/**
 * `npm run test:versions`: the tests that start a server, once with each version of it that there is, one version after
 * the other; then a line for each. Arguments: versions ("postgres-17 valkey-9"; default: all), and the runner's own,
 * which go to each run, parts of paths among them.
 *
 * Of 14 and 16 of PostgreSQL only the server is there, with client programs of 17: what reads their log by pg_waldump
 * cannot be tried.
 */
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { allVersions, parseVersion, type ServerKind } from '../helpers/versions/server-versions.ts';

const root = dirname(dirname(import.meta.dirname));
const args = process.argv.slice(2);
const chosen = args.filter((each) => allVersions.includes(each));
const others = args.filter((each) => !allVersions.includes(each));
/** It chooses versions itself. */
const smoke = 'test/integration/server-versions.test.ts';
const lines: string[] = [];

for (const name of chosen.length > 0 ? chosen : allVersions) {
  console.log(`\n== ${name}`);
  const files = others.some((each) => !each.startsWith('-')) ? [] : filesFor(parseVersion(name).kind);
  const { last, isOk } = await runTests([`--server=${name}`, ...others, ...files]);
  lines.push(`${isOk ? 'ok  ' : 'FAIL'} ${name.padEnd(12)} ${last}`);
  if (!isOk) process.exitCode = 1;
}
console.log(`\n${lines.join('\n')}`);

/** The test files that start such a server, by themselves or by helpers that they import. */
function filesFor(kind: ServerKind): string[] {
  const call = kind === 'postgres' ? /\bstartPostgres\(/ : /\bstartRedis\(/;
  const found = globSync('test/{contract,integration,cli}/**/*.test.ts', { cwd: root });
  return found.filter((file) => file !== smoke && calls(join(root, file), call)).toSorted();
}

/** The helper that has the function does not call it. */
function calls(file: string, call: RegExp, seen = new Set<string>()): boolean {
  if (seen.has(file) || !file.startsWith(join(root, 'test/'))) return false;
  seen.add(file);
  const text = readFileSync(file, 'utf8');
  if (text.split('\n').some((line) => call.test(line) && !line.startsWith('export'))) return true;
  const imported = [...text.matchAll(/ from '(\.[^']*\.ts)'/g)].map(([, path = '']) => resolve(dirname(file), path));
  return imported.some((each) => calls(each, call, seen));
}

/** What the run said last: how many passed and failed. */
async function runTests(more: readonly string[]): Promise<{ readonly last: string; readonly isOk: boolean }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'run.ts'), ...more], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let last = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text);
    last = (last + text).slice(-1000);
  });
  const code = await new Promise((done) => child.once('close', done));
  return { last: last.trim().split('\n').at(-1) ?? '', isOk: code === 0 };
}
