/** What the manual says of lifeboat acknowledge. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Notes that one warning of lifeboat status is known and accepted: it is shown as acknowledged from then on, and ' +
      'no longer makes the verdict worse. Only this very warning: the next one of its kind counts again. What ' +
      'makes the verdict unhealthy cannot be acknowledged, but for signs that backups or records were removed.',
    'repository:<id> accepts that the repository in its place is another one than this host remembers: made anew, or ' +
      'moved there. Until then every command refuses it.',
    'The key of an incident, as notify list shows it (backup:failed:main), says that somebody is at it: it is not ' +
      'told to those who are named by notifications.escalation.',
    'The note is kept in the state folder of this host, and in the audit log. No backup is changed.',
  ],
  examples: [
    {
      line: "lifeboat acknowledge unproven:main --reason 'the drill host arrives in May'",
      purpose: 'accept a warning, by the id that status shows',
    },
    {
      line: 'lifeboat acknowledge rollback:manifests/20260102T031500Z-main-full-0a1b2c3d.json',
      purpose: 'that backups which this host has seen are gone is meant',
    },
    { line: 'lifeboat acknowledge unproven:main --days 90', purpose: 'one that only lifeboat status --days 90 gives' },
  ],
  files: [
    configFile,
    keyFile,
    ['STATE/repositories/<id>/acknowledged.json', 'written'],
    ['STATE/places/<hash>.json', 'which repository lies where'],
  ],
  exits: {
    done: 'acknowledged',
    warnings: 'acknowledged, but it could not be recorded in the audit log',
    ...repositoryExits,
    usage: 'this warning cannot be acknowledged; or a flag or the configuration is wrong',
    not_found: 'status has no such warning now; there is no repository, or none with that id',
  },
  seeAlso: ['lifeboat-status(1)', 'lifeboat-notify(1)', 'lifeboat-audit(1)'],
};
