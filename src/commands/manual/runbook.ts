/** What the manual says of lifeboat runbook. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Prints what to do when everything is lost, as Markdown, with the commands, paths and servers of this ' +
      'installation, the newest backups and the times that restores took. A copy is written to the state folder, and ' +
      'every backup holds the one of its day. No secret stands in it.',
    'Nothing else is changed and no server is asked. If the repository does not answer, the runbook is printed ' +
      'without what only that could tell. Print it, and keep it with the recovery sheet.',
  ],
  examples: [
    { line: 'lifeboat runbook > runbook.md', purpose: 'the runbook of today' },
    { line: 'lifeboat runbook --from latest', purpose: 'the one that the newest backup holds, on a new machine' },
    { line: 'lifeboat runbook --offline', purpose: 'without asking the repository' },
  ],
  files: [configFile, keyFile, ['STATE/runbook.md', 'the copy; refreshed by each backup']],
  exits: {
    done: 'printed',
    warnings: 'printed, but the repository did not answer or the copy could not be written',
    ...repositoryExits,
    not_found: 'with --from: no such backup, or it holds no runbook',
    integrity: 'with --from: the backup is damaged or not trusted',
  },
  seeAlso: ['lifeboat-emergency-restore(1)', 'lifeboat-status(1)'],
};
