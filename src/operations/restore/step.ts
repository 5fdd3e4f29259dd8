/** One part of a restore: what it will do, known before anything is touched, and the doing. */
import { join } from 'node:path';
import type { Config, TargetConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { ArtifactReader, Json } from '../../source/source.ts';
import type { ComponentName } from '../operation.ts';
import type { RestoredComponent } from './request.ts';
import type { MarkedRestoreRequest } from './marks.ts';

export interface RestoreStep {
  readonly component: string;
  /** Database, server or folder; no credentials. */
  readonly to: string;
  readonly action: string;
  /** Bytes that will be read at most. */
  readonly bytes: number;
  /** What is overwritten or put aside, if anything is. */
  readonly replaces: Replaced | undefined;
  run(context: RunContext): Promise<RestoredComponent>;
}

export interface Replaced {
  /** What must be typed to allow it. */
  readonly name: string;
  /** What will happen, one line each. */
  readonly consequences: readonly string[];
  /** Set if a backup of this component of the target saves what is there. */
  readonly saveBy: ComponentName | undefined;
}

/** What every planner is given. */
export interface RestoreSubject {
  readonly config: Config;
  /** Undefined: the backup's target is not configured here. */
  readonly target: TargetConfig | undefined;
  readonly request: MarkedRestoreRequest;
  readonly manifest: Manifest;
  /** Repository.vouchesFor. */
  readonly isVouchedFor: boolean;
  readonly component: ManifestComponent;
  readonly facts: ReadonlyMap<string, Json>;
  readonly reader: ArtifactReader;
  /** One moment for all names that bear a stamp. */
  readonly at: Date;
}

/** Where it is noted what a restore changes on a Redis server while it works. */
export function redisNotesDir(stateDir: string): string {
  return join(stateDir, 'redis-targets');
}

/** `yyyymmddThhmmss`, UTC. */
export function stampOf(at: Date): string {
  return at.toISOString().replaceAll(/[-:]|\.\d{3}Z/g, '');
}

export function sizeOf(component: ManifestComponent): number {
  return component.artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Said when there is nowhere to restore to. */
export function nowhere(what: string, name: string): LifeboatError {
  return new LifeboatError('usage', `no ${what} is configured to restore into`, {
    state: 'nothing was changed',
    hint: `set ${name}, or name another variable with --to-url-env`,
  });
}
