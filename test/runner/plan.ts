/**
 * What to run, and how: the runner's arguments and the test files they choose, those that took longest
 * the last time first, so that none of them starts when all else is done.
 */
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

export interface Plan {
  /** Relative to the project's folder. */
  readonly files: readonly string[];
  readonly jobs: number;
  readonly testTimeoutMs: number;
  /** Only tests whose name matches this; then files without one are fine. */
  readonly namePattern: string | undefined;
  /** "postgres-17": tests start this version of a server, not the installed one. */
  readonly server: string | undefined;
  /** Temporary files that a test leaves are a failure, not a remark. */
  readonly strictAboutFiles: boolean;
}

const usage =
  'usage: npm test -- [--unit|--long] [--jobs=N] [--timeout=SECONDS] ' +
  '[--name=PATTERN] [--server=NAME] [--tolerate-files] [part of a path]…';

/** Parses the arguments; throws with the usage text on a wrong one. */
export function makePlan(root: string, args: readonly string[]): Plan {
  const { values, positionals } = parse(args);
  const folders = values.long ? 'long' : values.unit ? 'unit' : '{unit,contract,integration,cli}';
  const found = globSync(`test/${folders}/**/*.test.ts`, { cwd: root });
  const chosen = found.filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)));
  const durations = readDurations(root);
  // Unknown ones first, servers before plain functions.
  const weight = (file: string): number => durations[file] ?? (file.startsWith('test/unit/') ? 1e6 : 1e7);
  return {
    files: chosen.toSorted((a, b) => weight(b) - weight(a) || a.localeCompare(b)),
    jobs: wholeNumber('--jobs', values.jobs) ?? availableParallelism(),
    testTimeoutMs: (wholeNumber('--timeout', values.timeout) ?? (values.long ? 10_800 : 600)) * 1000,
    namePattern: values.name,
    server: values.server,
    strictAboutFiles: !values['tolerate-files'],
  };
}

/** Remembers how long each file took, in milliseconds, for the order of the next run. */
export function rememberDurations(root: string, durationsMs: ReadonlyMap<string, number>): void {
  const all = { ...readDurations(root), ...Object.fromEntries(durationsMs) };
  mkdirSync(dirname(durationsFile(root)), { recursive: true });
  writeFileSync(durationsFile(root), JSON.stringify(all, undefined, 1));
}

function readDurations(root: string): Record<string, number> {
  try {
    return JSON.parse(readFileSync(durationsFile(root), 'utf8')) as Record<string, number>;
  } catch {
    return {};
  }
}

function durationsFile(root: string): string {
  return join(root, 'node_modules/.cache/lifeboat/test-durations.json');
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        unit: { type: 'boolean', default: false },
        long: { type: 'boolean', default: false },
        jobs: { type: 'string' },
        timeout: { type: 'string' },
        name: { type: 'string' },
        server: { type: 'string' },
        'tolerate-files': { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new Error(`${String(error)}\n${usage}`, { cause: error });
  }
}

function wholeNumber(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${option}=${text}: a whole number from 1 on\n${usage}`);
  return Number(text);
}
