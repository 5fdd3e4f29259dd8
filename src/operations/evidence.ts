/** What was proven of a backup, by the names of its evidence: evidence/<backup>/<UTC time>-<level>-<ok|failed>.json. */
import type { Repository } from '../repository/repository.ts';
import type { ShowResult } from './requests.ts';

type Evidence = ShowResult['evidence'][number];

/** Oldest first. Names only: whoever relies on one opens it. */
export async function listEvidence({ storage }: Repository, backupId: string): Promise<Evidence[]> {
  const evidence: Evidence[] = [];
  for await (const { key } of storage.list(`evidence/${backupId}/`)) {
    const match = /\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-([a-z-]+)-(ok|failed)\.json$/.exec(key);
    if (match === null) continue;
    const [, year, month, day, hour, minute, second, level, result] = match;
    evidence.push({ object: key, at: `${year}-${month}-${day}T${hour}:${minute}:${second}Z`, level: level ?? '', result: result === 'ok' ? 'ok' : 'failed' });
  }
  return evidence;
}
