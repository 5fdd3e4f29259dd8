/** What the manual says of lifeboat release. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Ends the hold of a backup: the retention policy decides again, so the next cleanup may delete it. --tag removes ' +
      'tags that hold has added. The backup itself is not changed; the audit log records it.',
  ],
  examples: [
    { line: 'lifeboat release 20260102T031500Z-main-full-0a1b2c3d', purpose: 'let the policy decide again' },
    { line: 'lifeboat release 20260102T0315 --tag audit', purpose: 'the same, and take a tag off' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'it is no longer on hold',
    warnings: 'it is no longer on hold, with something to know',
    ...repositoryExits,
    not_found: 'no such backup, or no repository',
    locked: 'a cleanup runs',
    integrity: 'its manifest is damaged',
  },
  seeAlso: ['lifeboat-hold(1)', 'lifeboat-cleanup(1)'],
};
