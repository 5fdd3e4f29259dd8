/** An incident that somebody knows of: it is not escalated. */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { withFileLock } from '../../lib/file-lock.ts';
import { readIncidents, writeIncidents, type Incident } from './incidents.ts';
import { noticesFolder } from './place.ts';

const lockWaitMs = 10_000;

/** The open incident of that key; undefined: there is none. Rejects where the state folder cannot be written. */
export async function acknowledgeIncident(config: Config, key: string): Promise<Incident | undefined> {
  const folder = noticesFolder(config);
  const isIt = (incident: Incident): boolean => incident.key === key;
  if (!(await readIncidents(folder)).some(isIt)) return undefined;
  const done = await withFileLock(join(folder, 'incidents.lock'), lockWaitMs, async () => {
    const open = await readIncidents(folder);
    const acknowledgedAt = new Date().toISOString();
    await writeIncidents(
      folder,
      open.map((each) => (isIt(each) ? { ...each, acknowledgedAt } : each)),
    );
    return open.find(isIt);
  });
  return done?.value;
}
