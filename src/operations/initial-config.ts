/** The configuration file that `init` writes: what it was given, with secrets as references only. */
import type { LoadedConfig } from '../config/load.ts';
import { repositoryLocation } from './open-repository.ts';

/** JSON text. `keyFile`: the key that was made. */
export function initialConfig(loaded: LoadedConfig, keyFile: string | undefined): string {
  const { encryption, targets } = loaded.config;
  const document = {
    repository: repositoryMember(loaded),
    encryption: encryption.enabled ? { ...(keyFile === undefined ? {} : { key: { file: keyFile } }), ...(encryption.recipients.length === 0 ? {} : { recipients: encryption.recipients }) } : { enabled: false },
    ...(targets.size === 0 ? {} : { targets: Object.fromEntries([...targets.keys()].map((name) => [name, targetMember(loaded, name)])) }),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function repositoryMember(loaded: LoadedConfig): unknown {
  const location = repositoryLocation(loaded);
  if (location.kind === 'local') return `file://${location.path}`;
  const url = `s3://${location.bucket}${location.prefix === '' ? '' : `/${location.prefix}`}`;
  const { region, endpoint } = location;
  return region === undefined && endpoint === undefined ? url : { url, region, endpoint };
}

/** Secrets stay where they are; the file only says where. */
function targetMember({ config, origins }: LoadedConfig, name: string): unknown {
  const target = config.targets.get(name);
  const reference = (part: string, fallback: string): { env: string } => ({ env: origins.get(`targets.${name}.${part}.url`) ?? fallback });
  return {
    ...(target?.postgres === undefined ? {} : { postgres: { url: reference('postgres', 'DATABASE_URL') } }),
    ...(target?.redis === undefined ? {} : { redis: { url: reference('redis', 'REDIS_URL') } }),
    ...(target?.files === undefined ? {} : { files: { paths: target.files.paths, ...(target.files.exclude.length === 0 ? {} : { exclude: target.files.exclude }) } }),
  };
}
