/** The schedule that somebody means by an id. */
import type { LoadedConfig } from '../../config/load.ts';
import type { Schedule } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/suggest.ts';

/** Throws LifeboatError `not_found` with the nearest that there is. */
export function chooseSchedule({ config }: Pick<LoadedConfig, 'config'>, id: string): Schedule {
  const found = config.schedules.find((each) => each.id === id);
  if (found !== undefined) return found;
  const ids = config.schedules.map((each) => each.id);
  throw new LifeboatError('not_found', `there is no schedule ${id}${didYouMean(id, ids)}`, {
    hint: ids.length === 0 ? 'none is configured: lifeboat schedule add' : `configured: ${ids.join(', ')}`,
  });
}
