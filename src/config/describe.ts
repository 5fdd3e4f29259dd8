/** The configuration as rows of path, value and origin, for people to check; secrets are named, never shown. */
import type { RetentionByComponent, RetentionPolicy } from './config.ts';
import type { LoadedConfig } from './load.ts';
import { isRaw, originOf, type Raw } from './origins.ts';
import { innerSchemas, isSecretSchema, keysOfSchema, unwrapSchema, type Schema } from './schema-walk.ts';
import { settingsSchema, type SecretReference } from './schema.ts';
import { describeReference } from './secrets.ts';

export interface ConfigRow {
  /** Dotted, as in the configuration file. */
  readonly path: string;
  /** As in the file; a secret is `***` and where it comes from. */
  readonly value: unknown;
  /** Environment name, flag, file, or `default`. */
  readonly origin: string;
  readonly secret?: true;
}

/** Every value that is in force, in the order of the schema. */
export function describeConfig({ config, settings, origins }: LoadedConfig): ConfigRow[] {
  const document: Raw = {
    ...settings,
    compression: { ...config.compression },
    jobs: config.jobs,
    stateDir: config.stateDir,
    retention: retentionOf(config.retention),
    targets: Object.fromEntries(Object.entries(settings.targets ?? {})),
  };
  const rows: ConfigRow[] = [];
  const walk = (value: unknown, path: string, schemas: readonly Schema[]): void => {
    if (value === undefined) return;
    const origin = originOf(origins, path) ?? 'default';
    if (schemas.some(isSecretSchema)) {
      const from = describeReference(value as SecretReference);
      rows.push({ path, value: from === undefined ? '***' : `*** (${from})`, origin, secret: true });
    } else if (isRaw(value) && Object.keys(value).length > 0) {
      for (const key of orderedKeys(value, schemas)) {
        walk(
          value[key],
          path === '' ? key : `${path}.${key}`,
          schemas.flatMap((schema) => innerSchemas(schema, key)),
        );
      }
    } else if (path !== '') {
      rows.push({
        path,
        value: path === 'repository.url' && typeof value === 'string' ? withoutCredentials(value) : value,
        origin,
      });
    }
  };
  walk(document, '', unwrapSchema(settingsSchema));
  return rows;
}

function orderedKeys(value: Raw, schemas: readonly Schema[]): string[] {
  const order = schemas.flatMap(keysOfSchema);
  const rank = (key: string): number => (order.includes(key) ? order.indexOf(key) : order.length);
  return Object.keys(value).toSorted((a, b) => rank(a) - rank(b));
}

function retentionOf(retention: RetentionByComponent): Raw {
  return {
    database: policyOf(retention.database),
    redis: policyOf(retention.redis),
    files: policyOf(retention.files),
    walDays: retention.walDays,
  };
}

function policyOf({ keepWithinMs, ...rules }: RetentionPolicy): Raw {
  return { ...rules, ...(keepWithinMs === undefined ? {} : { keepWithin: `${keepWithinMs / 1000}s` }) };
}

/** Somebody may have put keys into the URL, where they do not belong. */
function withoutCredentials(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//***@');
}
