/** Which target a request means, and the sources of its components. */
import { tmpdir } from 'node:os';
import type { LoadedConfig } from '../config/load.ts';
import type { Config, TargetConfig } from '../config/config.ts';
import { LifeboatError } from '../lib/errors.ts';
import type { Source } from '../source/source.ts';
import type { ComponentName } from './operation.ts';

/** A component of a target that can be dumped. `name` is unique in a backup. */
export interface ComponentSource {
  readonly name: string;
  readonly component: ComponentName;
  readonly source: Source;
}

/** The named target, else the default or only one. Throws LifeboatError `usage` listing what there is. */
export function chooseTarget({ config }: LoadedConfig, name: string | undefined): TargetConfig {
  const wanted = name ?? config.defaultTarget;
  const names = [...config.targets.keys()];
  if (wanted !== undefined) {
    const target = config.targets.get(wanted);
    if (target !== undefined) return target;
    throw new LifeboatError('usage', `there is no target ${wanted}`, {
      hint: names.length === 0 ? 'none is configured: lifeboat init' : `configured: ${names.join(', ')}`,
    });
  }
  const [only, ...others] = config.targets.values();
  if (only === undefined) {
    throw new LifeboatError('usage', 'nothing to back up is configured', {
      hint: 'set DATABASE_URL, REDIS_URL or BACKUP_FILES, or run: lifeboat init',
    });
  }
  if (others.length > 0) {
    throw new LifeboatError('usage', 'several targets are configured', {
      hint: `choose one with --target: ${names.join(', ')}`,
    });
  }
  return only;
}

/**
 * Sources of the wanted components (all that are configured if none is named). Throws LifeboatError `usage` for one
 * that is not configured. `withoutRows`: tables whose rows are left out.
 */
export async function sourcesOf(
  config: Config,
  target: TargetConfig,
  wanted: readonly ComponentName[],
  { withoutRows }: { readonly withoutRows?: readonly string[] | undefined } = {},
): Promise<ComponentSource[]> {
  const makers: Record<ComponentName, (() => Promise<Source>) | undefined> = {
    database: target.postgres === undefined ? undefined : () => postgres(config, target, withoutRows),
    redis: target.redis === undefined ? undefined : () => redis(config, target),
    files: target.files === undefined ? undefined : () => files(config, target),
    // Whoever names it wants it; among all components it is where the configuration says so.
    base:
      target.postgres === undefined || (target.postgres.base === undefined && !wanted.includes('base'))
        ? undefined
        : () => base(config, target),
  };
  const configured = (Object.keys(makers) as ComponentName[]).filter((component) => makers[component] !== undefined);
  const missing = wanted.find((component) => makers[component] === undefined);
  if (missing !== undefined) {
    throw new LifeboatError('usage', `target ${target.name} has no ${missing} to back up`, {
      hint: configured.length === 0 ? 'nothing is configured: lifeboat init' : `configured: ${configured.join(', ')}`,
    });
  }
  const chosen = configured.filter((component) => wanted.length === 0 || wanted.includes(component));
  if (chosen.length === 0) {
    throw new LifeboatError('usage', `target ${target.name} has nothing to back up`, {
      hint: 'set DATABASE_URL, REDIS_URL or BACKUP_FILES, or run: lifeboat init',
    });
  }
  return Promise.all(
    chosen.map(async (component) => {
      const source = await (makers[component] as () => Promise<Source>)();
      return { name: component, component, source };
    }),
  );
}

async function postgres(
  config: Config,
  { postgres: options }: TargetConfig,
  withoutRows: readonly string[] | undefined,
): Promise<Source> {
  const { postgresSource } = await import('../source/postgres/dump/source.ts');
  const { jobs, hangTimeoutMs } = config;
  return postgresSource({ ...(options as NonNullable<typeof options>), withoutRows, jobs, hangTimeoutMs });
}

async function base(config: Config, { postgres: options }: TargetConfig): Promise<Source> {
  const { baseSource } = await import('../source/postgres/base/source.ts');
  return baseSource({
    url: (options as NonNullable<typeof options>).url,
    scratchDir: tmpdir(),
    hangTimeoutMs: config.hangTimeoutMs,
  });
}

async function redis(config: Config, { redis: options }: TargetConfig): Promise<Source> {
  const { redisSource } = await import('../source/redis/snapshot.ts');
  return redisSource({
    ...(options as NonNullable<typeof options>),
    scratchDir: tmpdir(),
    hangTimeoutMs: config.hangTimeoutMs,
  });
}

async function files(config: Config, { files: options }: TargetConfig): Promise<Source> {
  const { filesSource } = await import('../source/files/source.ts');
  return filesSource({
    ...(options as NonNullable<typeof options>),
    excludeFolders: config.repository?.kind === 'local' ? [config.repository.path] : [],
  });
}
