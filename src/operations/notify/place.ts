/** Where this host keeps what it is to tell of one repository: `<state>/notifications/<hash of its place>/`. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { repositoryUrl } from '../../config/repository-place.ts';

/** Two configurations of two repositories may name their channels the same. */
export function noticesFolder({ stateDir, repository }: Pick<Config, 'stateDir' | 'repository'>): string {
  const place =
    repository === undefined
      ? ''
      : repository.kind === 's3'
        ? `s3://${repository.endpoint ?? ''}/${repository.bucket}/${repository.prefix}`
        : repositoryUrl(repository);
  const name = createHash('sha256').update(place).digest('hex').slice(0, 16);
  return join(stateDir, 'notifications', name);
}
