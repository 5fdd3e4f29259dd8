/**
 * Which repository lies where, as this host remembers it: `<state>/places/<hash>.json`. Whoever can write to a folder
 * or bucket could put another repository.json there, and with its id all that this host remembers would be forgotten:
 * so a place whose id has changed is refused until an operator accepts it.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { LifeboatError } from '../lib/errors.ts';
import { forgetShipped } from './shipped-notes.ts';
import { DamagedStateError, readStateFile, writeStateFile } from './state-file.ts';

const placeSchema = z.object({ place: z.string(), repository: z.uuid() });
const wayOut = 'if the repository there is the one that you know, remove that file: it is made anew';

/**
 * The id of the repository that this host knows at a place; undefined: none yet, or this user may not read what the
 * host remembers. Throws a DamagedStateError.
 */
export async function rememberedId(stateDir: string, place: string): Promise<string | undefined> {
  try {
    return (await readStateFile(pathOf(stateDir, place), placeSchema, { hint: wayOut }))?.repository;
  } catch (error) {
    if (error instanceof DamagedStateError || !(error instanceof LifeboatError)) throw error;
    return undefined;
  }
}

/**
 * From now on the repository there is this one; what was noted of log that is archived may speak of another. Throws
 * `usage` or `space` where the state folder cannot be written.
 */
export async function rememberId(stateDir: string, place: string, repository: string): Promise<void> {
  await forgetShipped(stateDir);
  await writeStateFile(pathOf(stateDir, place), { place, repository });
}

/** The refusal of a place that has another repository now. */
export function otherRepository(location: string, found: string, remembered: string): LifeboatError {
  return new LifeboatError(
    'integrity',
    `the repository at ${location} is another one: its id is ${found}, and this host remembers ${remembered}`,
    {
      state: 'nothing was changed',
      hint:
        'find out who changed repository.json; if it was made anew, or moved there, on purpose: lifeboat acknowledge ' +
        `repository:${found}`,
    },
  );
}

function pathOf(stateDir: string, place: string): string {
  const name = createHash('sha256').update(place).digest('hex').slice(0, 32);
  return join(stateDir, 'places', `${name}.json`);
}
