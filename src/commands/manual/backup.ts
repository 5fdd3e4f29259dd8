/** What the manual says of lifeboat backup. */
import { configFile, keyFile, repositoryExits, runHistory, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Takes one backup of a target: PostgreSQL databases (logical, by pg_dump), Redis, files, and base (physical, by ' +
      'pg_basebackup, for recovery to any moment) as they are configured, or only the components that are named.',
    'First the servers are asked for versions, rights and sizes; what would make the backup fail is told before ' +
      'anything is read. Then the lease of the target is taken, so that two backups of it cannot run at once. Each ' +
      'component is dumped as a stream, cut into chunks, and what the previous backup holds already is not stored ' +
      'again. What was stored is checked, and the manifest is written last: only from then on the backup exists.',
    'Sources are only read. (A server that takes part in a base backup is asked for a checkpoint, and Redis for a ' +
      'snapshot, as by a replica.) If any program behind it fails, hangs or is killed, no manifest is written: the ' +
      'previous backups are as before, and what was stored so far is removed by a later cleanup.',
    'A dump of a database takes all of its locks before it writes anything, and a session that wants to change a ' +
      'table meanwhile (ALTER TABLE, TRUNCATE, VACUUM FULL, DROP) is let through: all is let go and tried again, for ' +
      'as long as lockWaitTimeoutSeconds says. From then on such a session waits until the dump is over, as beside ' +
      'any pg_dump, and so do others behind it. With --yield-to-ddl it is let through at any time, and the backup ' +
      'begins anew, up to five times in all: for short backups beside migrations.',
    'A base backup of a cluster with damaged pages (a checksum that does not hold) is stored all the same, with them ' +
      'as they are: the run ends with 3 and names file and block, and the backup is marked. It is never latest, ' +
      'counts for no rule of retention and no age, and recoveries start from it only where no other will do; status ' +
      'is not well until there is a better one. Look at the disk, and hold the backups from before. A dump of a ' +
      'database ends with 14 at such a page and names the table; with --without-rows it takes all but the rows of ' +
      'that table, and is marked in the same way. What is restored from it has the table empty, and no foreign key ' +
      'to it. Rows are never read past damage (zero_damaged_pages).',
    'Each component is of a moment of its own, the database of one transaction snapshot; the components of one ' +
      'backup are not a common snapshot, unless a quiesce holds the application still (lifeboat-hooks(7)).',
    'With --pre-deploy the backup is a gate before a deployment: database, Redis and files as configured, without a ' +
      'base backup, labelled and tagged pre-deploy. It ends when the backup is stored, was read back, and is on hold ' +
      'for --keep-days, whatever the retention policy says; only then migrations may start. The last line is the ' +
      'command that goes back: it restores all of it beside what is live, compares, and swaps; what it replaces is ' +
      'saved before and kept. That restore is planned then, and what would be in its way is a warning. The exit code ' +
      'says whether to go on: 0, the backup is whole and held; 3, it is stored and held, and something wants a look ' +
      '(see the warnings; a pipeline that takes no risk stops here, examples/ci show both); all else, do not deploy. ' +
      'With --summary-file, or in GitHub Actions, the same is added to a file in Markdown, a failure too.',
    'Tables are counted and hashed for later comparison. A query does that, unless it could run functions of ' +
      'somebody with less than the rights of the backup user: then COPY reads the table, and lifeboat hashes its ' +
      "rows. So it is with tables whose indexes, statistics or types use functions that are not PostgreSQL's own " +
      'or those in C of extensions that are trusted (postgres.trustedExtensions), and with all tables of other ' +
      "owners where the backup user is no superuser or the server is a standby. A superuser's queries on tables of " +
      'other owners are planned under a lock that lasts milliseconds and lets readers and writers pass. ' +
      'Materialized views of other owners are backed up and not counted.',
  ],
  examples: [
    { line: 'lifeboat backup', purpose: 'back up all that is configured' },
    {
      line: 'lifeboat backup --config /etc/lifeboat/lifeboat.config.json --quiet --if-running=skip',
      purpose: 'for a crontab: no output on success, and no failure while another backup runs',
    },
    {
      line: "lifeboat backup --pre-deploy 'release 42' --if-running=wait=10m",
      purpose: 'no migration without a backup, and with a way back',
    },
    { line: 'lifeboat backup base', purpose: 'a physical backup, from which lifeboat-pitr(1) recovers' },
    {
      line: 'lifeboat backup --dry-run',
      purpose: 'say what would be backed up, about how large, and what is in the way',
    },
  ],
  files: [
    configFile,
    keyFile,
    runHistory,
    ['STATE/repositories', 'what this host knows of each repository: newest backup, data key, end of the audit log'],
    ['TMPDIR', 'room for a Redis snapshot, and for the tablespaces of a base backup that has several'],
  ],
  exits: {
    done: 'the backup is stored, or it was skipped by --if-running=skip',
    warnings:
      'the backup is stored, with warnings: a file changed while it was read, a right was missing, a page of the ' +
      'cluster is damaged',
    ...repositoryExits,
    not_found: 'there is no repository yet: lifeboat init creates it',
    locked: 'another backup of the target runs, or too many of the repository do (maxConcurrentBackups)',
    source:
      'a server cannot be reached or refuses, a dump failed or hung, --timeout was exceeded, or archived log that ' +
      'a base backup needs did not come',
    integrity: 'a table cannot be read, since a page of it is damaged, or what was stored is not what was read',
    space: 'no room in the repository or the temporary folder, or over --max-size',
    tool: 'pg_dump or pg_basebackup is missing, or too old for the server, or a hook before it failed',
  },
  environment: [['TMPDIR', 'where streams are put that must be complete before they can be read']],
  seeAlso: [
    'lifeboat-hooks(7)',
    'lifeboat-list(1)',
    'lifeboat-restore(1)',
    'lifeboat-validate(1)',
    'lifeboat-status(1)',
    'lifeboat-wal(7)',
  ],
};
