/** What the manual says of lifeboat validate. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Reads stored backups and compares them with what their manifests say. By default every byte is read and its ' +
      'tag checked. --quick reads only the small objects, and asks for presence and size of packs; --deep also ' +
      'decompresses, compares chunk ids, and reads each archive to ' +
      'its end; --sample reads some percent of the packs, ' +
      'others each time. The write-ahead log behind the base backups is looked into as closely: sizes with ' +
      '--quick, every tag by default, page headers and records (by pg_waldump) with --deep; with --all ' +
      'all log there is.',
    'What was found is kept as evidence beside the backup, good or ' +
      'bad: lists and status show it. Damage is told with ' +
      'the objects, and with the tables, keys or files that it affects. Nothing is repaired and nothing deleted. No ' +
      'server is needed. Whether a backup restores is for lifeboat-integrity(1) to prove.',
  ],
  examples: [
    { line: 'lifeboat validate', purpose: 'read all of the newest backup of each target' },
    {
      line: 'lifeboat validate --quick --all',
      purpose: 'presence and sizes of everything; cheap enough for each night',
    },
    { line: 'lifeboat validate latest --deep', purpose: 'decode it, and read every archive to its end' },
    { line: 'lifeboat validate --all --sample 5%', purpose: 'another twentieth of the packs each time' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'all that was read is what the manifests say',
    warnings: 'the same, but something could not be looked at or recorded',
    ...repositoryExits,
    key: 'no configured key opens a backup, so it could not be checked',
    not_found: 'no such backup, or no repository',
    integrity: 'damage was found: objects are missing, short, or not what was stored',
    tool: 'with --deep: pg_restore is missing, or too old for an archive',
  },
  seeAlso: ['lifeboat-integrity(1)', 'lifeboat-status(1)', 'lifeboat-repository(7)'],
};
