/** What the manual says of lifeboat restore. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Restores a backup, or databases, tables, Redis keys and paths of it. All of it is planned first: what goes ' +
      'where, what it would replace, and whether that is allowed. Only then is anything written, and each part is ' +
      'compared with what the backup recorded: row counts and fingerprints of tables, digests of keys, checksums of ' +
      'files.',
    'latest is the newest backup of the target. One of a damaged source (pages of a cluster that are damaged, rows ' +
      'of a table that could not be read) is passed over with a warning; by its id it is restored, also with a ' +
      'warning: such a table comes back empty, and foreign keys to it are left out.',
    'By default nothing that is live is touched: databases get a new name, and files a new folder. Where the ' +
      'configured database or folder does not exist, it is restored under its own name. All of Redis goes ' +
      'into the configured server only if that is empty; keys chosen by --keys replace those of the same name, after ' +
      'confirmation.',
    '--into-live replaces: a safety backup is taken, the backup is restored beside what is live and compared, and ' +
      'then the two are swapped by renaming. The old database stays under a name that is printed, with the command ' +
      '(--undo) that takes the swap back. What would be overwritten wants its name typed, or --confirm.',
    'Constraints, indexes and materialized views call functions that the owner of a database wrote, and they run ' +
      'with the rights of whoever restores; every restore of every tool has that nature. Where you do not trust an ' +
      'owner, restore by --to-url-env with the URL of a role that is no superuser (it needs CREATEDB), with ' +
      '--no-owner and --no-acl: that login is the wall.',
    '--as-role NAME logs in as ever and works as another role, one that is no superuser: it owns the database and ' +
      'all that is in it, definitions are made and what they call is run with its rights, and owners, grants and ' +
      'event triggers of the backup are left out, as are settings that it may not make. It keeps a mistake, or code ' +
      'that expects to run as a superuser, from doing harm. It is no wall: code that looks for it can set the role ' +
      'of the login back (SET ROLE NONE), and has its rights then. The login must belong to the role.',
    'Event triggers come in last of all, after the comparison. Those that a database has already do not fire for ' +
      'what a superuser restores into it, but for those that are ENABLE ALWAYS. Functions that name something ' +
      "without its schema see the database's own search_path where pg_restore fails on what calls them; that is " +
      'told, since pg_restore alone would lose it.',
    'Chosen paths (--path) that go back into their places leave the folders on the way to them as they are: those ' +
      'that are missing are made with owner and mode of the backup, those that are there keep their own. Folders ' +
      'that are chosen themselves, and what is in them, get owner, mode and times of the backup.',
    'Roles, tablespaces, owners and grants decide who may do what, so they are restored only from a backup that is ' +
      'encrypted, or that this host or a writer in encryption.trustedKeys signed: anybody who can write to a ' +
      'repository without encryption can make backups. Others are refused with 14, unless --no-owner --no-acl leave ' +
      'these out, or the full id and --force insist.',
    'A restore that fails leaves what is live as it was; what it made is removed, unless --keep-failed is given. ' +
      'Roles and tablespaces that --globals made stay, and are named. A failed comparison ends with 14, before a swap.',
  ],
  examples: [
    { line: 'lifeboat restore latest --dry-run', purpose: 'say what would be restored where' },
    {
      line: 'lifeboat restore latest --only database --database shop --to-database shop_copy',
      purpose: 'one database, beside the live one',
    },
    {
      line: 'lifeboat restore latest --only database --into-live',
      purpose: 'replace the live databases, keeping the old ones',
    },
    {
      line: "lifeboat restore latest --only redis --keys 'session:*' --confirm localhost:6379",
      purpose: 'only keys that fit a pattern',
    },
    {
      line: 'lifeboat restore latest --only files --path /srv/uploads/2026 --to-dir /srv/recovered',
      purpose: 'one folder, into another place',
    },
  ],
  files: [
    configFile,
    keyFile,
    ['--to-dir', 'restored files; written beside under a hidden name, and renamed when complete'],
    ['TMPDIR', 'room for a Redis snapshot that a replica is loaded from'],
  ],
  exits: {
    done: 'restored, and equal to the backup',
    warnings: 'restored, with warnings: something could not be compared or was not restored',
    ...repositoryExits,
    not_found: 'no such backup, or nothing in it that was asked for',
    locked: 'a cleanup is deleting this backup',
    source: 'the target server cannot be reached, refuses, or died',
    integrity: 'the backup is damaged or not trusted, or what was restored is not equal to it; nothing was swapped',
    space: 'not enough room for a copy beside what is live',
    tool: 'pg_restore is missing, or its version does not fit, or a hook before it failed',
    confirmation: 'something would be replaced, and its name was not confirmed',
  },
  environment: [
    ['name given to --to-url-env', 'URL of another server to restore into; never an argument, since those can be seen'],
    ['TMPDIR', 'where scratch files go'],
  ],
  seeAlso: [
    'lifeboat-hooks(7)',
    'lifeboat-export(1)',
    'lifeboat-pitr(1)',
    'lifeboat-emergency-restore(1)',
    'lifeboat-show(1)',
  ],
};
