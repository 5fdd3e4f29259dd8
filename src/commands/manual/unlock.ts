/** What the manual says of lifeboat unlock. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Running commands hold leases in the repository, which keep others from colliding with them. A lease that is no ' +
      'longer renewed lapses by itself after half an hour; unlock removes those that belong to runs that are proven ' +
      'or taken to be dead, at once.',
    'Leases of live runs stay, unless --alive is given and the name is confirmed: a backup may then delete or miss ' +
      'what another one relies on. No backup is changed.',
  ],
  examples: [
    { line: 'lifeboat unlock', purpose: 'remove the leases that dead runs left' },
    { line: 'lifeboat unlock backup-main', purpose: 'only that of the backups of target main' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'dead leases are gone; there may have been none',
    warnings: 'done, but it could not be recorded in the audit log',
    ...repositoryExits,
    not_found: 'there is no repository',
    locked: 'a lease is held by a run that may be alive',
    confirmation: '--alive was not confirmed',
  },
  seeAlso: ['lifeboat-backup(1)', 'lifeboat-cleanup(1)', 'lifeboat-status(1)'],
};
