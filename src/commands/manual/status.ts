/** What the manual says of lifeboat status. */
import { configFile, keyFile, repositoryExits, runHistory, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Gives one verdict: healthy, degraded or unhealthy; each reason with the command to run next; for each target ' +
      'the newest backup, what was proven when, how long a restore would take, and which moments can be recovered. ' +
      'Schedules are compared with what was taken, and those that are published in the repository with what became ' +
      'of their moments; see lifeboat-schedule(1).',
    'It reads the repository and the state of this host, and changes nothing. A server whose log is archived is ' +
      'asked how far it is; all servers may be down.',
    '--format nagios prints one line with figures for plots, then the other reasons, and exits with 0 (OK), 1 ' +
      '(WARNING: degraded), 2 (CRITICAL: unhealthy) or 3 (UNKNOWN: it could not be found out), as plugins do.',
  ],
  examples: [
    { line: 'lifeboat status', purpose: 'how the backups are, and what to do' },
    {
      line: 'lifeboat status --max-age 26h --quiet --json',
      purpose: 'for monitoring: exit code 19 if a newest backup is older',
    },
    { line: 'lifeboat status --format nagios', purpose: 'as a plugin of Nagios or Icinga' },
  ],
  serverExits: [['0, 1, 2, 3', 'with --format nagios: OK, WARNING, CRITICAL, UNKNOWN']],
  files: [configFile, keyFile, runHistory, ['STATE/repositories/<id>/acknowledged.json', 'warnings that are accepted']],
  exits: {
    done: 'healthy',
    warnings: 'degraded: there is something to do, but the policy is met',
    ...repositoryExits,
    not_found: 'there is no repository',
    stale: 'unhealthy: a backup is too old, failed or missing, or damage was found',
  },
  seeAlso: [
    'lifeboat-acknowledge(1)',
    'lifeboat-metrics(1)',
    'lifeboat-doctor(1)',
    'lifeboat-list(1)',
    'lifeboat-wal(1)',
  ],
};
