/** What the manual says of lifeboat doctor. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Checks what backups and restores rest on, side by side: client programs and their versions, reach and rights on ' +
      'each server, whether the log is archived, whether base backups get the configuration files, the ' +
      'repository (a trial object is written, read and deleted), the key, clocks, space, the state and temporary ' +
      'folders. Each check says what to do if it fails.',
    'Nothing is changed but trial files and the trial object, which are removed. Each check has a time limit, so a ' +
      'server that hangs does not keep the others from being looked at.',
  ],
  examples: [
    { line: 'lifeboat doctor', purpose: 'after setting up, and whenever something is odd' },
    { line: 'lifeboat doctor --target shop --json', purpose: 'only one target, as a JSON document' },
  ],
  files: [configFile, keyFile, ['STATE', 'a trial file is written and removed'], ['TMPDIR', 'the same']],
  exits: {
    done: 'all is well',
    warnings: 'backups work, but something should be improved',
    ...repositoryExits,
    not_found: 'there is no repository',
    source: 'a server cannot be reached, or a right is missing',
    integrity: 'what the repository gives back is not what was stored',
    space: 'a folder is full or cannot be written',
    tool: 'a program is missing, or its version does not fit',
  },
  environment: [['PATH', 'where client and server programs are looked for']],
  seeAlso: ['lifeboat-status(1)', 'lifeboat-init(1)', 'lifeboat-config(1)'],
};
