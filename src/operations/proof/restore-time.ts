/** How long a restore takes, from the steps that a drill measured. */

interface Step {
  readonly name: string;
  readonly durationMs: number;
}

/** Those steps of a drill that a real restore has too. */
export function restoreSteps(steps: readonly Step[]): Step[] {
  return steps
    .filter(({ name }) => / restore\b|^restore\b/.test(name))
    .map(({ name, durationMs }) => ({ name, durationMs }));
}

/** What they took, in milliseconds. */
export function restoreTimeMs(steps: readonly Step[]): number {
  return restoreSteps(steps).reduce((sum, { durationMs }) => sum + durationMs, 0);
}
