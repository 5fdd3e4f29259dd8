/** What the manual says of lifeboat export. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Writes the artifacts of a backup as plain files into a new folder: archives for pg_restore, base backups and ' +
      'file trees as tar, Redis as an RDB file. facts.json holds what the backup recorded of its sources, and ' +
      'SHA256SUMS a checksum of each file, for sha256sum --check.',
    'All chunks are compared with their ids on the way. The files are written into a hidden folder beside the wanted ' +
      'one, which gets its name when everything is on disk: a ' +
      'failure leaves no half export. Nothing is restored, and ' +
      'what is exported is no longer encrypted.',
  ],
  examples: [
    { line: 'lifeboat export latest /srv/plain', purpose: 'all of the newest backup' },
    { line: 'lifeboat export latest:proven /srv/plain --only database', purpose: 'only the archives for pg_restore' },
  ],
  files: [configFile, keyFile, ['<dir>', 'what is exported, readable by its owner only (mode 0700)']],
  exits: {
    done: 'all files are written',
    warnings: 'all files are written, with something to know',
    ...repositoryExits,
    not_found: 'no such backup, or no such component in it',
    integrity: 'the backup is damaged, or from a writer that is not trusted',
    space: 'no room for the files',
    confirmation: 'the folder is not empty',
  },
  seeAlso: ['lifeboat-restore(1)', 'lifeboat-repository(7)'],
};
