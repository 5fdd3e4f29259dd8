/**
 * The test runner: every file a process of its own, as many side by side as there are cores. Ends with
 * "N passed, N failed" and exit code 1 unless something passed and nothing failed; a skipped test, a file
 * without tests and anything left behind are failures. See CONTRIBUTING.md for the arguments.
 */
import { mkdirSync, mkdtempSync, chmodSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { runFile, type FileResult } from './file-run.ts';
import { makePlan, rememberDurations, type Plan } from './plan.ts';
import { buildProgram } from './program.ts';

const root = dirname(dirname(import.meta.dirname));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.log('0 passed, 1 failed');
  process.exitCode = 2;
}

async function main(args: readonly string[]): Promise<number> {
  const plan = makePlan(root, args);
  if (plan.files.some((file) => !file.startsWith('test/unit/'))) buildProgram(root);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort(signal));
  // Short, since the path of a Unix socket holds 107 bytes; not in TMPDIR, which may be long.
  const folder = mkdtempSync('/tmp/lb');
  chmodSync(folder, 0o711);
  try {
    prepareEnvironment(folder);
    const results = await runAll(plan, folder, stop.signal);
    rememberDurations(
      root,
      new Map(results.filter((each) => each.failures.length === 0).map((each) => [each.file, each.durationMs])),
    );
    return summary(results, stop.signal.aborted);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Tests see neither the servers and buckets that this shell is configured for, nor the home of whoever
 * runs them; npm keeps its cache and settings, which the test of the package needs.
 */
function prepareEnvironment(folder: string): void {
  const home = homedir();
  process.env['NPM_CONFIG_CACHE'] ??= process.env['npm_config_cache'] ?? join(home, '.npm');
  process.env['NPM_CONFIG_USERCONFIG'] ??= process.env['npm_config_userconfig'] ?? join(home, '.npmrc');
  const ours = /^(PG|AWS_|BACKUP_|XDG_|LIFEBOAT_|DATABASE_URL|REDIS|MAX_BACKUP_SIZE_MB|SLACK_|SMTP_)/;
  const ofNode = /^(NODE_OPTIONS|NODE_COMPILE_CACHE|NODE_TEST_CONTEXT|CI)$/;
  for (const name of Object.keys(process.env)) {
    if (ours.test(name) || ofNode.test(name)) delete process.env[name];
  }
  process.env['HOME'] = join(folder, 'home');
  mkdirSync(process.env['HOME']);
  // What one test file, or a command that it runs, has compiled need not be compiled for the next.
  process.env['NODE_COMPILE_CACHE'] = join(folder, 'compiled');
  process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
  mkdirSync(process.env['XDG_CACHE_HOME']);
  process.env['NO_COLOR'] = '1';
}

async function runAll(plan: Plan, folder: string, signal: AbortSignal): Promise<FileResult[]> {
  const waiting = [...plan.files.entries()];
  const results: FileResult[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) {
      const [number, file] = next;
      const result = await runFile(root, file, join(folder, String(number)), plan, signal);
      results.push(result);
      print(result);
    }
  };
  await Promise.all(Array.from({ length: plan.jobs }, work));
  return results;
}

function print(result: FileResult): void {
  const { file, passed, failures, remarks, output } = result;
  const seconds = (result.durationMs / 1000).toFixed(1).padStart(6);
  console.log(
    `${failures.length === 0 ? 'ok  ' : 'FAIL'} ${seconds} s  ${file} (${passed} ` +
      `passed${failures.length === 0 ? '' : `, ${failures.length} failed`})`,
  );
  for (const remark of remarks) console.log(`       left: ${remark}`);
  for (const { name, error } of failures) console.log(indent(`✖ ${name}\n${indent(error)}`));
  if (failures.length > 0 && output.trim() !== '') console.log(indent(`what it wrote:\n${indent(output.trim())}`));
}

function summary(results: readonly FileResult[], aborted: boolean): number {
  const failed = results.filter((each) => each.failures.length > 0);
  const passedCount = results.reduce((sum, each) => sum + each.passed, 0);
  let failedCount = failed.reduce((sum, each) => sum + each.failures.length, 0);
  if (failed.length > 0) {
    console.log('\nfailed:');
    for (const { file, failures } of failed) for (const { name } of failures) console.log(`  ${file}: ${name}`);
  }
  if (aborted) console.log('stopped by a signal');
  else if (passedCount + failedCount === 0) console.log('no test was found');
  if (aborted || passedCount + failedCount === 0) failedCount += 1;
  console.log(`${passedCount} passed, ${failedCount} failed`);
  return failedCount === 0 ? 0 : 1;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
