/** What the manual says of lifeboat pitr. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Recovers a PostgreSQL cluster to a recovery target: a time, an LSN, a transaction, a restore point, or the end ' +
      'of the archived log. It chooses the newest base backup before the target and the timeline (one of a ' +
      'cluster with damaged pages only where no other will do, with a warning), and looks whether ' +
      'the log is there without a gap; what cannot be recovered is refused, with the nearest moments that can.',
    'Then the base backup is placed in --data-dir, and a server of its own, which nobody else can connect to, ' +
      'replays the log. ' +
      'Every database is read afterwards and checked by pg_amcheck where that is installed. With --into-database a ' +
      'database (or --tables of it) is copied from the recovered cluster into the live server: beside what is there, ' +
      'compared, and swapped only with --into-live.',
    'The live cluster is never recovered in place. --dry-run plans and --check also opens every segment, and both ' +
      'write nothing. A recovery that fails removes what it placed; where damage was found the folder is kept, but ' +
      'no server starts from it unasked.',
    'The configuration files that the server had come with the base backup, wherever they lay, and stand in ' +
      '--data-dir as a set that works there: what lay outside is below configuration/, and lines that lead to the ' +
      'old place are commented out behind "#lifeboat:". What is not on this host (folders of sockets, ' +
      'certificates, addresses) is set otherwise in postgresql.auto.conf, and named in a warning.',
    'With --type standby the folder becomes a replica: read and checked where the base backup is consistent, then ' +
      'left with standby.signal, a restore_command that reads the archive, and primary_conninfo (of the target, or ' +
      'of --primary-url-env; with its password, so the file is readable for its owner only). Started, it catches up ' +
      'from the archive and streams. --slot has the primary keep log for it from now on, also while it is down.',
    'Without a base backup the newest logical backup before the moment takes its place; the plan says what is lost.',
  ],
  examples: [
    {
      line: 'lifeboat pitr --to 2026-01-02T08:29:59Z --check',
      purpose: 'can this moment be recovered? Nothing is written',
    },
    {
      line: 'lifeboat pitr --to 2026-01-02T08:29:59Z --data-dir /var/lib/postgresql/recovered',
      purpose: 'the whole cluster, into a new folder, ready to be started',
    },
    {
      line: 'lifeboat pitr --to 2026-01-02T08:29:59Z --into-database shop --to-database shop_before',
      purpose: 'one database of that moment, copied beside the live one',
    },
    {
      line: 'lifeboat pitr --to name:before-migration --into-database shop --tables public.order --into-live',
      purpose: 'a table that was dropped, back into the live database',
    },
    {
      line: 'lifeboat pitr --type standby --data-dir /var/lib/postgresql/replica --slot replica_1',
      purpose: 'a replica of the running server, without a copy of all of it over its network',
    },
  ],
  files: [
    configFile,
    keyFile,
    ['--data-dir', 'the recovered cluster; empty or not there before'],
    ['--data-dir with -tablespaces at its end', 'tablespaces that --tablespace-map does not place'],
    ['TMPDIR', 'the recovered cluster, where it is thrown away afterwards'],
  ],
  exits: {
    done: 'recovered to the moment, or --check and --dry-run found nothing in the way',
    warnings: 'recovered with warnings; or a logical backup took the place of a base backup, and changes are lost',
    ...repositoryExits,
    not_found: 'there is no backup to begin with',
    source: 'a server cannot be reached, or the recovering one died',
    integrity: 'log or backup are damaged, or what was recovered does not hold a check',
    space: 'no room for the cluster',
    tool: "the server programs of the cluster's major version are missing, or a hook before it failed",
    window: 'the moment cannot be recovered; the nearest ones that can are named',
    confirmation: 'something live would be replaced, and its name was not confirmed',
  },
  environment: [['TMPDIR', 'where throwaway clusters and sockets are made']],
  seeAlso: [
    'lifeboat-hooks(7)',
    'lifeboat-wal(1)',
    'lifeboat-create-restore-point(1)',
    'lifeboat-restore(1)',
    'lifeboat-wal(7)',
  ],
};
