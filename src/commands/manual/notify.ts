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
    'status --notify (for cron), a schedule of the type status, and the daemon tell what status finds: ' +
      'status.KIND.raised when it is new and status.KIND.cleared when it is no more, where KIND is the first word of ' +
      'its name, such as storage, unproven, wal-gap or slot; status.failed where the repository cannot be looked at. ' +
      'What status calls unhealthy is critical. A channel that fails is a reason of status itself, and is told ' +
      'on the others.',
    'notifications.escalation names who is told where nobody acts on an incident: after so many minutes without ' +
      'lifeboat acknowledge KEY (notify list shows the keys). In quietHours warnings wait, and what is critical does ' +
      'not; a channel with digestMinutes gets what has gathered as one message.',
    'Types of channels: webhook (JSON; signed as Standard Webhooks 1.1 has it, if there is a secret; or any document ' +
      'of your own), slack, discord, teams, telegram, ntfy, pagerduty, email, ping (checks such as those of ' +
      'healthchecks.io: URL/start, URL, URL/EXITCODE) and command (reads the same JSON on standard input). The keys ' +
      'of each stand in lifeboat.config(5). Mail goes by TLS, with a certificate that is valid, unless tls is "none".',
    'test sends two marked messages by each channel, now, whatever routes and quiet hours say; a ' +
      'ping goes to URL/log. --each-event sends one of each kind of event that there is, to see what a template, or ' +
      'a rule of the other side, makes of it.',
  ],
  examples: [
    { line: 'lifeboat notify test', purpose: 'does every channel work?' },
    { line: 'lifeboat notify test ops', purpose: 'does this one?' },
    { line: 'lifeboat notify list', purpose: 'what is wrong, and what was not sent yet' },
  ],
  files: [configFile, ['STATE/notifications', 'what is wrong now, and what waits to be sent']],
  exits: {
    done: 'all of it was sent',
    usage: 'no such channel, or none at all, is configured',
    storage: 'a channel failed',
  },
  seeAlso: ['lifeboat-status(1)', 'lifeboat-acknowledge(1)', 'lifeboat-daemon(1)'],
};
