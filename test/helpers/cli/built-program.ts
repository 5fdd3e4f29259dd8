/**
 * The program as it is shipped: JavaScript from a fresh build, without the sources beside it; and how much memory it
 * takes.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = dirname(dirname(dirname(import.meta.dirname)));

/** Builds, and puts what is shipped into `folder`; the path of the program there. */
export function installBuilt(folder: string): string {
  const built = spawnSync(process.execPath, [join(root, '.ci/build/build.ts')], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`the build failed: ${built.stdout}${built.stderr}`);
  mkdirSync(folder, { recursive: true });
  for (const name of ['bin', 'dist', 'package.json']) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'bin/lifeboat.js');
}

export interface MeasuredRun {
  readonly document: unknown;
  /** The most memory that the process had at a time (VmHWM), children not counted. */
  readonly peakBytes: number;
  readonly durationMs: number;
}

/** Runs one command with --json to its end and watches its memory. Throws unless it ends with 0 or 3. */
export async function runMeasured(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<MeasuredRun> {
  const began = performance.now();
  // Not in "/": the file that init writes there would be found by everything on this machine.
  const child = spawn(program, [...args, '--json'], {
    env: { ...env },
    cwd: env['HOME'] ?? '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const caught = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (caught.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (caught.err += text));
  let code: number | null | undefined;
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => {
      code = exitCode;
      resolve();
    });
  });
  let peakBytes = 0;
  while (code === undefined) {
    peakBytes = Math.max(peakBytes, peakOf(child.pid ?? 0));
    await Promise.race([sleep(10), ended]);
  }
  if (code !== 0 && code !== 3) {
    throw new Error(`lifeboat ${args.join(' ')} ended with ${code}: ${caught.out}${caught.err}`);
  }
  return { document: JSON.parse(caught.out), peakBytes, durationMs: performance.now() - began };
}

/** The most memory that a process has had at a time (VmHWM); 0 once it is gone. */
export function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
