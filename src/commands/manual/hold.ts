/** What the manual says of lifeboat hold. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Puts a backup on hold: no cleanup deletes it until lifeboat release, whatever the retention policy says. A hold ' +
      'by lifeboat backup --pre-deploy ends by itself after some days; putting it on hold again makes it stay. Tags ' +
      'may be added at the same time. The note is sealed and lies beside the backup, which itself is not changed; ' +
      'the audit log records it. Its reason can be read by everybody who can read the repository.',
  ],
  examples: [
    { line: "lifeboat hold latest --reason 'before the migration'", purpose: 'keep the newest backup' },
    { line: 'lifeboat hold 20260102T0315 --tag audit', purpose: 'keep one, and tag it' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'it is on hold',
    warnings: 'it is on hold, with something to know',
    ...repositoryExits,
    not_found: 'no such backup, or no repository',
    locked: 'a cleanup runs',
    integrity: 'its manifest is damaged',
  },
  seeAlso: ['lifeboat-release(1)', 'lifeboat-cleanup(1)', 'lifeboat-list(1)'],
};
