/** What `lifeboat doctor` checks of drills: whether throwaway servers can be kept from what lifeboat can read. */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { chooseIsolation } from '../../lib/isolation.ts';
import { passed, warned } from './check.ts';
import type { DoctorCheck } from './request.ts';

const name = 'drill isolation';

export async function checkIsolation({ config: { drill } }: LoadedConfig): Promise<DoctorCheck> {
  if (drill.isolation === 'none') {
    return warned(
      name,
      "drills run without isolation (drill.isolation): code of a database's owner can read what lifeboat can",
      'install bubblewrap, and take drill.isolation out of the configuration',
    );
  }
  try {
    const { kind } = await chooseIsolation(drill);
    const how = kind === 'namespaces' ? 'in namespaces, by bubblewrap' : `under the system user ${drill.user}`;
    return passed(name, `throwaway servers run ${how}`);
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error;
    return warned(name, `drills are not possible: ${error.message}`, error.hint ?? '');
  }
}
