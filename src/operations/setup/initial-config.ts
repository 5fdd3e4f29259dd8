/** The configuration file that `init` writes: what it was given, with secrets as references only. */
import type { LoadedConfig } from '../../config/load.ts';
import { repositoryUrl } from '../../config/repository-place.ts';
import { repositoryLocation } from '../open-repository.ts';
import type { ProposedSchedule } from './proposed-schedules.ts';

/** JSON text. `keyFile`: the key that was made. */
export function initialConfig(
  loaded: LoadedConfig,
  keyFile: string | undefined,
  schedules: readonly ProposedSchedule[],
): string {
  const { encryption } = loaded.config;
  const targets = targetsMember(loaded);
  const document = {
    ...(loaded.envFile === undefined ? {} : { envFile: loaded.envFile }),
    repository: repositoryMember(loaded),
    encryption: encryption.enabled
      ? {
          ...(keyFile === undefined ? {} : { key: { file: keyFile } }),
          ...(encryption.recipients.length === 0 ? {} : { recipients: encryption.recipients }),
        }
      : { enabled: false },
    ...(targets === undefined ? {} : { targets }),
    ...(schedules.length === 0 ? {} : { schedules }),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function repositoryMember(loaded: LoadedConfig): unknown {
  const location = repositoryLocation(loaded);
  if (location.kind === 'local') return repositoryUrl(location);
  if (location.kind === 'sftp') {
    const { configFile } = location;
    return configFile === undefined ? repositoryUrl(location) : { url: repositoryUrl(location), sshConfig: configFile };
  }
  const url = `s3://${location.bucket}${location.prefix === '' ? '' : `/${location.prefix}`}`;
  const { region, endpoint } = location;
  return region === undefined && endpoint === undefined ? url : { url, region, endpoint };
}

/**
 * Secrets stay where they are; the file only says where. Undefined if that is in PG* variables, which make a target
 * only where the file names none.
 */
function targetsMember(loaded: LoadedConfig): unknown {
  const { targets } = loaded.config;
  const names = [...targets.keys()];
  if (
    names.length === 0 ||
    names.some((name) => loaded.origins.get(`targets.${name}.postgres.url`)?.startsWith('PG'))
  ) {
    return undefined;
  }
  return Object.fromEntries(names.map((name) => [name, targetMember(loaded, name)]));
}

function targetMember(loaded: LoadedConfig, name: string): unknown {
  const target = loaded.config.targets.get(name);
  return {
    ...(target?.postgres === undefined ? {} : { postgres: { url: urlReference(loaded, name, 'postgres') } }),
    ...(target?.redis === undefined ? {} : { redis: { url: urlReference(loaded, name, 'redis') } }),
    ...(target?.files === undefined
      ? {}
      : {
          files: {
            paths: target.files.paths,
            ...(target.files.exclude.length === 0 ? {} : { exclude: target.files.exclude }),
          },
        }),
  };
}

/** A reference as it was given (NAME_FILE, NAME_COMMAND); for a text, the name of the variable that held it. */
function urlReference({ settings, origins }: LoadedConfig, name: string, part: 'postgres' | 'redis'): unknown {
  const url = settings.targets?.[name]?.[part]?.url;
  if (typeof url === 'object') return url;
  // "DATABASE_URL in /etc/lifeboat/env" for one from a file.
  return { env: (origins.get(`targets.${name}.${part}.url`) ?? '').replace(/ in .*$/, '') };
}
