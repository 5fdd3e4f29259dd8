/** What the manual says of lifeboat audit. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Prints the audit log: each run that changed, restored, exported or deleted something, with time, host, user, ' +
      'outcome and its arguments. The log is a chain of sealed records for each host; the chain is checked, and a ' +
      'changed, missing, moved or cut-off record is told.',
    'Nothing is changed. Without a key the chain can be followed, but arguments and messages stay closed.',
  ],
  examples: [
    { line: 'lifeboat audit --since 30d', purpose: 'the last 30 days' },
    { line: 'lifeboat audit --command restore --outcome failed', purpose: 'only failed restores' },
    { line: 'lifeboat audit --csv > audit.csv', purpose: 'all of it, for a spreadsheet' },
  ],
  files: [
    configFile,
    keyFile,
    ['STATE/repositories/<id>/audit-<host>.json', 'how far the log had come when this host last saw it'],
  ],
  exits: {
    done: 'the log is whole',
    warnings: 'the log is whole, with something to know',
    ...repositoryExits,
    not_found: 'there is no repository',
    integrity: 'records are changed, missing or not trusted',
  },
  seeAlso: ['lifeboat-integrity(1)', 'lifeboat-repository(7)'],
};
