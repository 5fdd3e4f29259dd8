/** What the drills of all components have in common: a clock for their steps, and what they answer. */
import type { Config } from '../config/config.ts';
import type { LifeboatError } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import type { Manifest, ManifestComponent } from '../repository/manifest.ts';
import type { ArtifactReader, Json } from '../source/source.ts';

/** One component of a backup that is to be proven. */
export interface DrillSubject {
  readonly config: Config;
  readonly manifest: Manifest;
  readonly component: ManifestComponent;
  readonly facts: ReadonlyMap<string, Json>;
  readonly reader: ArtifactReader;
}

/** What a drill has seen; filled while it runs, so that a failure leaves what was there until then. */
export class DrillRecord {
  readonly counts: Record<string, number> = {};
  readonly versions: Record<string, string> = {};
  readonly notes: string[] = [];
  /** What was held against what; whole phrases. */
  readonly compared: string[] = [];
  /** Faults of the backup. Parts of it after one that failed are still tried. */
  readonly failures: LifeboatError[] = [];
  summary: string | undefined;
  readonly #durations = new Map<string, number>();

  get steps(): { name: string; durationMs: number }[] {
    return [...this.#durations].map(([name, durationMs]) => ({ name, durationMs: Math.round(durationMs) }));
  }

  /** Runs one step and adds its duration to what the step of that name has taken so far. */
  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.took(name, performance.now() - started);
    }
  }

  took(name: string, durationMs: number): void {
    this.#durations.set(name, (this.#durations.get(name) ?? 0) + durationMs);
  }

  count(what: string, number: number): void {
    this.counts[what] = Math.min(Number.MAX_SAFE_INTEGER, (this.counts[what] ?? 0) + number);
  }
}

export type ComponentDrill = (subject: DrillSubject, record: DrillRecord, context: RunContext) => Promise<void>;

/** Steps of a real restore begin so; starting throwaway servers and comparing are none of it. */
export const restoreStep = 'restore';

/** The restore's part of the steps of a drill, in milliseconds. */
export function restoreTimeMs(steps: readonly { readonly name: string; readonly durationMs: number }[]): number {
  return steps.filter(({ name }) => / restore\b|^restore\b/.test(name)).reduce((sum, { durationMs }) => sum + durationMs, 0);
}
