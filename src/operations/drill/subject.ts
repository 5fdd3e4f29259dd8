/** What the drills of all components have in common: a clock for their steps, and what they answer. */
import type { Config } from '../../config/config.ts';
import { exitCodeOf, type LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { chooseIsolation, type Isolation, type IsolationKind } from '../../lib/isolation.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ArtifactReader, Json } from '../../source/source.ts';
import type { DrilledBackup } from './request.ts';

/** One component of a backup that is to be proven. */
export interface DrillSubject {
  readonly repository: Repository;
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
  /** How the throwaway servers were kept from what we can read; undefined: there was none. */
  isolation: IsolationKind | undefined;
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

  /** The isolation of a throwaway server that is to be started. Throws `tool` (16). */
  async isolate({ drill }: Pick<Config, 'drill'>): Promise<Isolation> {
    const isolation = await chooseIsolation(drill);
    this.isolation = isolation.kind;
    return isolation;
  }

  took(name: string, durationMs: number): void {
    this.#durations.set(name, (this.#durations.get(name) ?? 0) + durationMs);
  }

  count(what: string, number: number): void {
    this.counts[what] = Math.min(Number.MAX_SAFE_INTEGER, (this.counts[what] ?? 0) + number);
  }
}

export type ComponentDrill = (subject: DrillSubject, record: DrillRecord, context: RunContext) => Promise<void>;

/** A drill is as well isolated as its worst throwaway server; undefined: there was none. */
export function weakestIsolation(records: readonly Pick<DrillRecord, 'isolation'>[]): IsolationKind | undefined {
  const kinds: readonly IsolationKind[] = ['none', 'user', 'namespaces'];
  return kinds.find((kind) => records.some(({ isolation }) => isolation === kind));
}

/** Steps of a real restore begin so; starting throwaway servers and comparing do not count. */
export const restoreStep = 'restore';

/** 14 if any of them failed, else why one could not be made, else 0. */
export function exitCodeOfDrills(backups: readonly DrilledBackup[]): number {
  if (backups.some(({ result }) => result === 'failed')) return exitCodeOf.integrity;
  const impossible = backups.flatMap(({ components }) => components).find(({ result }) => result === 'impossible');
  return impossible === undefined ? 0 : exitCodeOf[impossible.code ?? 'tool'];
}
