/** What the manual says of lifeboat version. */
import type { Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Prints the version of lifeboat, of Node.js, the platform, and the version of the repository format that it ' +
      'writes. For a report of a fault. Nothing is read but its own files, and nothing is changed.',
  ],
  examples: [
    { line: 'lifeboat version', purpose: 'the versions, one a line' },
    { line: 'lifeboat version --json', purpose: 'the same for a program' },
  ],
  files: [['package.json', "of lifeboat's own folder: its version"]],
  exits: { done: 'printed', usage: 'a flag is wrong' },
  seeAlso: ['lifeboat-doctor(1)', 'lifeboat-repository(7)'],
};
