/** What the manual says of lifeboat create-restore-point. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Writes a named restore point into the write-ahead log of the server (pg_create_restore_point), and makes the ' +
      'server switch to a new segment, so that the archive gets it ' +
      'soon. lifeboat pitr --to name:NAME recovers to it. ' +
      'What was done is recorded in the audit log.',
    'Nothing else is changed on the server. Nothing is proven either: ' +
      'the moment can be recovered once the log up to it is ' +
      'archived, and a base backup from before it is there.',
  ],
  examples: [
    { line: 'lifeboat create-restore-point before-migration', purpose: 'before a migration' },
    {
      line: 'lifeboat create-restore-point release-42 --target shop --json',
      purpose: 'from a deployment, with the LSN as JSON',
    },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'the restore point is in the log',
    warnings: 'it is in the log, but archive_mode is off; or this could not be recorded in the audit log',
    usage: repositoryExits.usage,
    source: 'the server cannot be reached, refuses, or is a standby',
  },
  seeAlso: ['lifeboat-pitr(1)', 'lifeboat-wal(7)'],
};
