/** What the manual says of lifeboat show. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Prints what is known of one backup: when, where and with which versions it was taken; sizes of its components ' +
      'and artifacts; what it recorded of its sources (databases ' +
      'with their largest tables and extensions, Redis keys ' +
      'by database, files by kind, the range of write-ahead log of a base backup); what changed or vanished while it ' +
      'was read; and the evidence of each check, drill and restore since.',
    'Names that come from servers and file systems are printed with escapes for control characters. --json gives ' +
      'all that was recorded, every table included.',
    'Nothing is changed and no server is asked. Without a key only the manifest can be shown.',
  ],
  examples: [
    { line: 'lifeboat show latest', purpose: 'the newest backup' },
    { line: 'lifeboat show latest:proven', purpose: 'the newest one that a drill has proven' },
    { line: 'lifeboat show 20260102T0315 --json', purpose: 'by the beginning of its id, with all recorded facts' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'it was shown',
    warnings: 'it was shown, with something to know about the repository',
    ...repositoryExits,
    not_found: 'no backup has that id, or several ids begin so; or there is no repository',
    integrity: 'its manifest or its recorded facts are damaged',
  },
  seeAlso: ['lifeboat-list(1)', 'lifeboat-validate(1)', 'lifeboat-integrity(1)'],
};
