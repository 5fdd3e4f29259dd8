/** What the manual says of lifeboat undelete. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Takes a backup out of trash, with everything that belongs to it, as long as its grace time has not passed. It ' +
      'is put on hold, since the next cleanup would delete it again; ' +
      '--no-hold leaves that to the policy. In a bucket ' +
      'that keeps versions, a backup whose manifest somebody deleted is shown again the same way; so is one that ' +
      'somebody else moved to trash, whatever its time there.',
    'Nothing that is stored is rewritten. If it fails, the backup is still in trash.',
  ],
  examples: [
    {
      line: 'lifeboat undelete 20260102T031500Z-main-full-0a1b2c3d',
      purpose: 'take a deleted backup back, and hold it',
    },
    { line: 'lifeboat undelete 20260102 --no-hold', purpose: 'by the beginning of its id, without a hold' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'it is listed again',
    warnings: 'it is listed again, but its writer is not trusted',
    ...repositoryExits,
    key: 'no configured key can check it',
    not_found: 'no such backup is in trash; or there is no repository',
    locked: 'a cleanup runs',
    integrity: 'its manifest is damaged',
  },
  seeAlso: ['lifeboat-cleanup(1)', 'lifeboat-hold(1)', 'lifeboat-release(1)'],
};
