/** What the manual says of lifeboat notify. */
import { configFile, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Where notifications.channels are configured, somebody is told when a backup, validate, integrity, drill, ' +
      'cleanup, restore, pitr or emergency-restore fails, and when it goes well again. What is wrong is an incident: ' +
      'it is told once, seen again it is only counted, and its end is told, too. A good run is told only by routes ' +
      'that name the outcome success.',
    'Events are named COMMAND.failed, .hung, .warned, .recovered and .succeeded, such as backup.failed; COMMAND ' +
      'is one of those above. Routes choose by these names, severity (info, warning, critical), outcome (failure, ' +
      'recovery, success) and target. A failed backup and damage are critical, the rest are warnings; the end of ' +
      'something has the severity of what it ends.',
    'What is to be told is written to the state folder first, and sent in order; what does not arrive stays, and is ' +
      'tried again after growing pauses by whichever command comes next, or notify flush. No run fails for it, or ' +
      'waits longer than ten seconds. A receiver can get a message twice, if lifeboat is killed just after it was ' +
      'sent: the id (webhook-id) is the same. No message holds secrets or connection strings.',
    'test sends two marked messages by each channel, now, whatever routes and quiet hours say.',
  ],
  examples: [
    { line: 'lifeboat notify test', purpose: 'does every channel work?' },
    { line: 'lifeboat notify test ops', purpose: 'does this one?' },
    { line: 'lifeboat notify list', purpose: 'what is wrong, and what was not sent yet' },
  ],
  files: [configFile],
  exits: {
    done: 'all of it was sent',
    usage: 'no such channel, or none at all, is configured',
    storage: 'a channel failed',
  },
  seeAlso: ['lifeboat-status(1)', 'lifeboat-acknowledge(1)', 'lifeboat.config(5)'],
};
