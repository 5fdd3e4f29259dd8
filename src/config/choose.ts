/** What a command cannot do without, or a refusal that says how to give it. */
import { LifeboatError } from '../lib/errors.ts';
import { didYouMean } from '../lib/suggest.ts';
import type { Config, RepositoryLocation, TargetConfig } from './config.ts';

/** The target that is meant: the named one, else the default, else the only one. Otherwise a usage error that lists them. */
export function chooseTarget(config: Config, name: string | undefined): TargetConfig {
  const names = [...config.targets.keys()];
  const wanted = name ?? config.defaultTarget ?? (names.length === 1 ? names[0] : undefined);
  const target = wanted === undefined ? undefined : config.targets.get(wanted);
  if (target !== undefined) return target;
  if (names.length === 0) throw new LifeboatError('usage', 'nothing to protect is configured', { hint: 'set DATABASE_URL, REDIS_URL or BACKUP_FILES, or run: lifeboat init' });
  if (wanted === undefined) throw new LifeboatError('usage', `there are several targets: ${names.join(', ')}`, { hint: `name one: --target ${names[0]}` });
  throw new LifeboatError('usage', `there is no target "${wanted}"${didYouMean(wanted, names)}`, { hint: `the targets are: ${names.join(', ')}` });
}

/** The repository's location; a usage error if none is configured. */
export function requireRepository(config: Config): RepositoryLocation {
  if (config.repository !== undefined) return config.repository;
  throw new LifeboatError('usage', 'no repository is configured', { hint: 'set BACKUP_REPOSITORY=file:///path or s3://bucket/prefix, or run: lifeboat init' });
}

/** True if a writer has what it needs to encrypt. */
export function hasKey({ encryption }: Config): boolean {
  return encryption.key !== undefined || encryption.passphrase !== undefined || encryption.recipients.length > 0;
}
