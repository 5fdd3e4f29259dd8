/** How the bench prints what it found: one line for each command, and the marks that this project wants to reach. */
import { median, type Timing } from './measure.ts';

export function print(title: string, timings: readonly Timing[]): void {
  process.stdout.write(`${title}\n`);
  for (const { name, secondsEach, cpuSecondsEach } of timings) {
    const each = secondsEach.map((seconds) => seconds.toFixed(2)).join(', ');
    process.stdout.write(
      `  ${median(secondsEach).toFixed(2).padStart(8)} s ${median(cpuSecondsEach).toFixed(2).padStart(8)} s CPU  ` +
        `${name}  (${each})\n`,
    );
  }
}

/** `wanted`: at most; without it there is no mark, only something to compare with. */
export function mark(name: string, value: number, wanted?: number): void {
  const verdict = wanted === undefined ? '' : `: mark ${wanted}${value <= wanted ? '' : ', not reached'}`;
  process.stdout.write(`  ${value.toFixed(2).padStart(8)}    ${name}${verdict}\n`);
}

export function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
