/** What `lifeboat doctor` checks of the configuration files of a server whose base backups are to hold them. */
import type { PostgresConfig } from '../../config/config.ts';
import type { RunContext } from '../../lib/events.ts';
import { configurationRights, lacksOf, readConfiguration } from '../../source/postgres/base/configuration.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { passed, warned } from './check.ts';
import type { DoctorCheck } from './request.ts';

/** Nothing where no base backups are configured. */
export async function checkConfiguration(
  name: string,
  { url, base }: Pick<PostgresConfig, 'url' | 'base'>,
  { signal }: RunContext,
): Promise<DoctorCheck[]> {
  if (base === undefined) return [];
  const read = await withConnection(url, { signal }, readConfiguration);
  if (read === undefined) {
    const message = 'the user may not see where the configuration lies: what is outside of the data directory is in no';
    return [warned(name, `${message} base backup`, configurationRights)];
  }
  const [first, ...others] = lacksOf(read);
  if (first !== undefined) {
    const more = others.length > 0 ? ` (and ${others.length} more)` : '';
    return [warned(name, `not in base backups: ${first}${more}`, configurationRights)];
  }
  return [passed(name, `its ${read.configuration.files.length} files go into base backups`)];
}
