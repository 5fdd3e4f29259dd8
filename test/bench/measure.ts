/** Times whole commands, paired: A, B, C, A, B, C, …, so that a machine that drifts slows all of them. */
import { spawn } from 'node:child_process';

export interface Command {
  readonly name: string;
  /** A shell line. */
  readonly line: string;
  /** Before each run, not timed. */
  readonly prepare?: () => Promise<void> | void;
}

export interface Timing {
  readonly name: string;
  readonly secondsEach: readonly number[];
}

export async function pair(commands: readonly Command[], rounds: number, env: Readonly<Record<string, string>>): Promise<Timing[]> {
  const timings = commands.map(({ name }) => ({ name, secondsEach: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [n, command] of commands.entries()) {
      await command.prepare?.();
      const started = performance.now();
      await run(command.line, env);
      timings[n]?.secondsEach.push((performance.now() - started) / 1000);
    }
  }
  return timings;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The median of the ratios of each round, so that both had the same neighbours. */
export function ratio(a: Timing, b: Timing): number {
  return median(a.secondsEach.map((seconds, round) => seconds / (b.secondsEach[round] as number)));
}

/** Runs a shell line to its end; throws with what it said if it fails. */
export async function run(line: string, env: Readonly<Record<string, string>>): Promise<string> {
  const child = spawn('bash', ['-c', `set -euo pipefail; ${line}`], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`${line}\nended with ${code}: ${said.slice(-2000)}`);
  return out;
}
