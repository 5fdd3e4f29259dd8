/** What the manual says of lifeboat wal. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'push and fetch are called by PostgreSQL as archive_command and restore_command; stream does without ' +
      'archive_command; status says what is archived. lifeboat-wal(7) tells how they are set up and work together.',
    'push succeeds only once its segment is durable in the repository. A segment that is archived already with the ' +
      'same content is fine; another content is refused, and so is the log of another cluster. While the repository ' +
      'is away it fails, and the server keeps the segment and tries again.',
    'fetch delivers a segment, and fetches those that follow along. It says "no more log" (1) only where that is ' +
      'proven: PostgreSQL would end the recovery there. Any trouble is 126 or more, which stops the recovery.',
    'stream runs until it is stopped. It archives each segment when it is complete, and the partial one every few ' +
      'seconds. While the repository is away, log is kept in the state folder, and beyond --max-spool (four segments ' +
      'at least) by the server.',
    'status changes nothing on the server or in the repository.',
  ],
  examples: [
    {
      line: 'lifeboat wal stream --create-slot --interval 1s',
      purpose: 'keep the repository about a second behind the server',
    },
    { line: 'lifeboat wal status', purpose: 'what is archived, gaps in it, and how far the server is ahead' },
    {
      line: 'lifeboat wal push --config /etc/lifeboat/lifeboat.config.json pg_wal/000000010000000000000001',
      purpose: 'as archive_command, with %p for the path',
    },
    {
      line:
        'lifeboat wal fetch --config /etc/lifeboat/lifeboat.config.json 000000010000000000000001 ' +
        'pg_wal/RECOVERYXLOG',
      purpose: 'as restore_command, with %f and %p',
    },
    {
      line: 'lifeboat wal stream --drop-slot',
      purpose: 'remove the slot, so that the server no longer keeps log for it',
    },
  ],
  files: [
    configFile,
    keyFile,
    [
      'STATE/wal/shipped',
      'notes of push: files that were archived ahead of their own call, each with the id of the repository they are in',
    ],
    ['STATE/wal/fetched', 'segments that fetch got ahead'],
    ['STATE/repositories/<id>/wal-stream', 'log that stream received and has not stored yet'],
    ['STATE/repositories/<id>/wal-system-<name>.json', 'which cluster the log of this installation is of'],
  ],
  exits: {
    done: 'archived, delivered, stopped in good order, or: all log is there',
    warnings:
      'status: the server cannot be asked, or archiving is behind; ' +
      'stream: the last of the log waits in the state folder',
    ...repositoryExits,
    not_found: 'there is no repository',
    locked: 'stream: another receiver of this cluster runs',
    source: 'stream and status: the server refuses, or the slot is missing',
    integrity: 'log differs from what is archived under its name, or is damaged; status: segments are missing',
    space: 'no room in the repository or the state folder',
    tool: 'stream: pg_receivewal is missing or too old',
    window: 'stream: the server no longer has what comes next; --accept-gap begins anew',
    confirmation: '--drop-slot was not confirmed',
  },
  serverExits: [
    ['1 to 125', 'all failures of push, signals included: archive_command must not end above'],
    ['1', 'fetch: the file is proven to be absent'],
    ['126 to 255', 'fetch: anything that went wrong (200 as a rule); the recovery stops instead of ending too early'],
  ],
  seeAlso: ['lifeboat-wal(7)', 'lifeboat-pitr(1)', 'lifeboat-create-restore-point(1)', 'lifeboat-init(1)'],
};
