/** What the manual says of lifeboat emergency-restore. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'For the worst day. status says what can be restored, validate reads one backup completely, and restore brings a ' +
      'whole target back from the newest backup that is whole.',
    'restore plans first, and tells it: which backup, what was written since and would be lost, what is live and ' +
      'whether it is the server that the backup was taken from, whether there is room, and how long it will take. ' +
      'After confirmation it stops services (if commands are configured), takes a safety backup of what is still ' +
      'there, restores each component beside, compares, swaps, and starts the services.',
    'Each step is written down before and after. A run that was interrupted goes on with --resume, and swaps nothing ' +
      'twice. When a step fails, it stops there and says what state everything is in; what was replaced so far is ' +
      'kept under another name. One run of a target at a time.',
    'A database of a backup without encryption comes back only if this host or a writer in encryption.trustedKeys ' +
      'signed it: its roles and grants would be those of whoever made it. With the full id, --force insists.',
    '--plan-out writes the plan to a sealed file, for somebody else to look at and carry out with --apply.',
  ],
  examples: [
    {
      line: 'lifeboat emergency-restore status',
      purpose: 'what can be restored, how old it is, and how long it takes',
    },
    { line: 'lifeboat emergency-restore restore --dry-run', purpose: 'the whole plan; nothing is touched' },
    { line: 'lifeboat emergency-restore restore', purpose: 'plan, ask, and bring everything back' },
    { line: 'lifeboat emergency-restore restore --resume', purpose: 'go on after an interruption' },
    { line: 'lifeboat emergency-restore validate latest', purpose: 'read every stored byte of a backup before' },
  ],
  files: [
    configFile,
    keyFile,
    ['STATE/emergency', 'the journal of the run: what is done, for --resume'],
    ['--plan-out', 'the sealed plan (mode 0600), a new file'],
  ],
  exits: {
    done: 'everything is back, or the answer was given',
    warnings: 'everything is back, with something to look at',
    ...repositoryExits,
    not_found: 'no whole backup is there, or nothing to resume',
    locked: 'another emergency restore of this target runs',
    source: 'a target server cannot be reached, or died on the way',
    integrity: 'the backup is not whole, a comparison failed, or plan or journal are not what was written',
    space: 'not enough room beside what is live',
    tool: 'a program is missing, or the commands that stop or start services failed',
    confirmation: 'the name was not confirmed, or things are no longer as the plan says',
  },
  seeAlso: ['lifeboat-runbook(1)', 'lifeboat-restore(1)', 'lifeboat-status(1)', 'lifeboat-repository(7)'],
};
