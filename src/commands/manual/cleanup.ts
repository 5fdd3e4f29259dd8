/** What the manual says of lifeboat cleanup. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Applies the retention policy. Backups that it no longer keeps are moved to trash, where lifeboat undelete takes ' +
      'them back until the grace time (trashHours, one day) has passed; then they are deleted for good, with the ' +
      'packs and the write-ahead log that no backup needs any more.',
    'Always kept are backups on hold, the newest and the newest proven backup of each target, and what a running ' +
      'command reads. A backup of a damaged source stands in for no other, and is kept itself as long as it is the ' +
      'newest. It stops by itself where the newest backup has collapsed to less than half of its usual size ' +
      '(--acknowledge says that this is intended), or where more would go than --max-delete allows.',
    'Only what lifeboat has moved to trash itself, by a record that is signed, leaves it. What lies there without ' +
      'one (moved by an older version, by an intruder, or, without encryption, by a host whose key trustedKeys does ' +
      'not list) stays with all that it needs, and is told; lifeboat undelete takes it back, and --adopt-trash lets ' +
      'it go once its grace time has passed, which then begins anew. The newest and the newest proven backup of a ' +
      'target stay in trash, too, when no live one stands in for them.',
    '--dry-run prints each backup with the reason why it is kept or not, and changes nothing. The run may be ' +
      'interrupted at any time: the next one goes on, and no backup that is listed is ever incomplete.',
  ],
  examples: [
    { line: 'lifeboat cleanup --dry-run', purpose: 'what would be deleted, and why' },
    { line: 'lifeboat cleanup --quiet', purpose: 'for a crontab, after the nightly backup' },
    { line: 'lifeboat cleanup --adopt-trash all', purpose: 'after an upgrade: what older versions moved to trash' },
    { line: 'lifeboat cleanup --max-delete 3 --grace 7d', purpose: 'no more than three, and a week to take them back' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'done; there may have been nothing to delete',
    warnings: 'done, but something was kept for safety and wants a look',
    ...repositoryExits,
    usage: 'a flag or the configuration is wrong, the grace time is too short, or the clocks differ too much',
    key: 'a backup cannot be checked with the configured key, so nothing is deleted',
    not_found: 'there is no repository, or nothing to adopt by that id',
    locked: 'another cleanup runs',
    tool: 'a hook before it failed',
    integrity: 'what a base backup recorded of its log is damaged, so what it needs is unknown',
  },
  seeAlso: [
    'lifeboat-hooks(7)',
    'lifeboat-undelete(1)',
    'lifeboat-hold(1)',
    'lifeboat-list(1)',
    'lifeboat-repository(7)',
  ],
};
