/**
 * What is live, held against the backup that is to replace it: whether this is the place it was taken from, what
 * would be lost, how much room is needed.
 */
import { hostname } from 'node:os';
import type { Config, TargetConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { formatDuration } from '../../lib/time.ts';
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import { filesFacts } from '../../source/files/facts.ts';
import { postgresFacts } from '../../source/postgres/facts/facts.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import { componentOf } from '../component.ts';
import type { ComponentName } from '../operation.ts';
import { lookAtDatabase, lookAtFiles, lookAtRedis, type LiveComponent } from './live.ts';

export interface ComponentNeed {
  readonly component: ComponentName;
  readonly neededBytes: number;
  readonly freeBytes?: number | undefined;
}

export interface Looked {
  readonly live: readonly LiveComponent[];
  readonly needs: readonly ComponentNeed[];
  /** Of the server that was backed up. */
  readonly systemIdentifier: string | undefined;
  readonly databases: readonly string[];
  readonly roots: readonly string[];
}

/** Throws `usage` (2) where the target is not configured, `integrity` (14) for facts that cannot be read. */
export async function lookAround(
  repository: Repository,
  config: Config,
  manifest: Manifest,
  wanted: readonly ComponentName[],
  context: RunContext,
): Promise<Looked> {
  const target = configuredTarget(config, manifest.target);
  const facts = await readComponentFacts(repository, manifest);
  const live: LiveComponent[] = [];
  const needs: ComponentNeed[] = [];
  let systemIdentifier: string | undefined;
  const databases: string[] = [];
  const roots: string[] = [];
  const need = (found: LiveComponent, neededBytes: number): void => {
    live.push(found);
    needs.push({
      component: found.component,
      neededBytes,
      ...(found.freeBytes === undefined ? {} : { freeBytes: found.freeBytes }),
    });
  };
  for (const component of manifest.components.filter(({ kind }) => wanted.includes(componentOf(kind)))) {
    if (component.kind === 'postgres') {
      const recorded = factsOf(postgresFacts, facts, component, manifest.id);
      ({ systemIdentifier } = recorded);
      databases.push(...recorded.databases.map(({ name }) => name));
      const bytes = recorded.databases.flatMap(({ tables }) => tables).reduce((sum, table) => sum + table.bytes, 0);
      const found = await lookAtDatabase(target, recorded.databases, context);
      // What is live has indexes, too, which take room when it is restored.
      need(found, Math.max(bytes, found.bytes ?? 0));
    } else if (component.kind === 'redis') need(await lookAtRedis(target, context), sumOf(component));
    else if (component.kind === 'files') {
      const recorded = factsOf(filesFacts, facts, component, manifest.id);
      roots.push(...recorded.roots.map(({ path }) => path));
      need(await lookAtFiles(roots), recorded.contentBytes);
    }
  }
  return { live, needs, systemIdentifier, databases, roots };
}

function configuredTarget({ targets }: Config, name: string): TargetConfig {
  const target = targets.get(name);
  if (target === undefined) {
    throw new LifeboatError('usage', `target ${name} is not configured here: there is nowhere to restore to`, {
      state: 'nothing was changed',
      hint: 'set DATABASE_URL, REDIS_URL or BACKUP_FILES (and BACKUP_TARGET), or name a configuration with --config',
    });
  }
  return target;
}

function sumOf({ artifacts }: ManifestComponent): number {
  return artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Throws `source` (13): a server that is down cannot be restored into; what it holds is not known either. */
export function refuseDown(live: readonly LiveComponent[], target: TargetConfig | undefined): void {
  const down = live.find(({ reachable }) => !reachable);
  if (down === undefined || target === undefined) return;
  const message = `${down.component} cannot be restored: ${down.where}: ${down.problem ?? 'unreachable'}`;
  const variable = down.component === 'redis' ? 'REDIS_URL' : 'DATABASE_URL';
  const others = live.filter(({ reachable }) => reachable).map(({ component }) => `--${component}-only`);
  const server = `start an empty server there (or point ${variable} to another one)`;
  throw new LifeboatError('source', message, {
    state: 'nothing was changed',
    hint: `${server}, or restore the rest first: ${others.join(' ')}`,
  });
}

/** Why this may be the wrong place. Where nothing is there to be replaced, no place is the wrong one. */
export function mismatchesOf(manifest: Manifest, { live, systemIdentifier }: Looked): string[] {
  const mismatches: string[] = [];
  const isOtherHost = manifest.host !== hostname();
  for (const { component, where, hasData, holds, systemIdentifier: found } of live) {
    if (!hasData) continue;
    const knowsServer = component === 'database' && found !== undefined && systemIdentifier !== undefined;
    if (knowsServer && found !== systemIdentifier) {
      mismatches.push(
        `the backup is of PostgreSQL with the system identifier ${systemIdentifier}; ${where} has ${found} and ` +
          `holds ${holds}`,
      );
    }
    if (!knowsServer && isOtherHost) {
      mismatches.push(
        `the backup was taken on host ${manifest.host}, this is ${hostname()}, and ${where} holds ${holds}`,
      );
    }
  }
  return mismatches;
}

/** What is written there now and is not in the backup: one sentence, or none. */
export function lossOf({ component, where, hasData, lastWriteAt, holds }: LiveComponent, manifest: Manifest): string[] {
  if (!hasData) return [];
  if (lastWriteAt === undefined) {
    return [
      `${component}: all that was written to ${where} (${holds}) since the backup, ${manifest.startedAt}; when ` +
        'that was last cannot be told',
    ];
  }
  const taken = `the backup, ${manifest.startedAt}`;
  const there = `${where} (${holds})`;
  const behindMs = Date.parse(lastWriteAt) - Date.parse(manifest.startedAt);
  if (behindMs <= 0) {
    return [`${component}: nothing that is seen: ${there} is replaced, but was last written to before ${taken}`];
  }
  const lost = formatDuration(behindMs);
  return [`${component}: ${lost} of writing to ${there}, from ${taken}, to the last write, ${lastWriteAt}`];
}
