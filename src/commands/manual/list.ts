/** What the manual says of lifeboat list. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Prints a line for each backup, oldest first: when it was taken, its components, what was read, what was new and ' +
      'what was stored, how far it has been proven (stored, checked, decoded, proven), and what is not as usual ' +
      '(OF A DAMAGED SOURCE: see lifeboat-backup(1)). ' +
      'Every target is listed unless --target names one.',
    'Only manifests, notes and evidence are read, and nothing is ' +
      'changed. No server is asked. It works without a key; ' +
      'then no seal can be checked, and the state is unknown. A manifest that cannot be read is named below the table.',
  ],
  examples: [
    { line: 'lifeboat list', purpose: 'all backups, the newest at the end' },
    { line: 'lifeboat list --type full --limit 7', purpose: 'the seven newest full backups' },
    { line: 'lifeboat list --tag deploy --json', purpose: 'those with a tag, as a JSON document' },
    {
      line: 'lifeboat list --as-of 2026-01-02T12:00:00Z',
      purpose: 'what was there then, in a bucket that keeps versions, backups deleted since included',
    },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'the list was printed; it may be empty',
    warnings: 'the list was printed, but a manifest is damaged',
    ...repositoryExits,
    not_found: 'there is no repository',
  },
  seeAlso: ['lifeboat-show(1)', 'lifeboat-status(1)', 'lifeboat-restore(1)'],
};
