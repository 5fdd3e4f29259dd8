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
  /**
   * User and system time of the command and its children, without servers: tells more than the clock on a machine that
   * others use too.
   */
  readonly cpuSecondsEach: readonly number[];
}

export async function pair(
  commands: readonly Command[],
  rounds: number,
  env: Readonly<Record<string, string>>,
): Promise<Timing[]> {
  const timings = commands.map(({ name }) => ({ name, secondsEach: [] as number[], cpuSecondsEach: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [n, command] of commands.entries()) {
      await command.prepare?.();
      const started = performance.now();
      const said = await run(`{ ${command.line}\n}; times`, env);
      timings[n]?.secondsEach.push((performance.now() - started) / 1000);
      timings[n]?.cpuSecondsEach.push(cpuSeconds(said));
    }
  }
  return timings;
}

/** From the last two lines of bash's `times`: user and system time of the shell and of its children. */
function cpuSeconds(said: string): number {
  const all = [
    ...said
      .trim()
      .split('\n')
      .slice(-2)
      .join(' ')
      .matchAll(/(\d+)m([\d.]+)s/g),
  ];
  return all.reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
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
