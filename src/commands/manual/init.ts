/** What the manual says of lifeboat init. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Makes what is missing and leaves the rest as it is: first the key (unless one is configured, or encryption is ' +
      'off), then the configuration file, then the repository with its rescue script. It may be repeated: what is ' +
      'there already is never written again, and a repository that is there is opened, not emptied.',
    'It prints what was created and the facts for the recovery sheet: where the repository is, our public key, and ' +
      'the checksum of the rescue script. Keep the sheet and a copy of the key away from this machine: without the ' +
      'key nobody can read the backups.',
    'Secrets are not copied into the configuration file, which refers to the environment instead. No crontab is ' +
      'edited; package.json only with --npm-scripts. After a failure what was created before it stays, and the same ' +
      'command goes on from there.',
    'With --schedules the configuration file gets schedules, if there are none: database at 02:00, files at 02:30, ' +
      'Redis at 03:00 and, where base is configured, a base backup each Sunday at 01:00, only for what is there; ' +
      'cleanup at 04:00, validate --quick at 06:00, validate each Sunday at 07:00, a drill on the first of the month ' +
      "at 08:00; in this host's time zone. What runs them: lifeboat-daemon(1), or what lifeboat schedule print writes.",
    'Without encryption whoever can write to the repository can make backups that are whole. They are signed by this ' +
      'host, and other hosts restore roles and grants of them only if they list the public key that is printed in ' +
      'encryption.trustedKeys.',
    'With --archive-command it only prints the lines for postgresql.conf, and creates nothing.',
  ],
  examples: [
    {
      line: 'lifeboat init --env-file env --repository file:///var/backups/shop',
      purpose: 'set up a repository in a folder, with the servers named in the file env',
    },
    { line: 'lifeboat init --repository s3://my-backups/shop', purpose: 'set up a repository in a bucket' },
    {
      line: 'lifeboat init --archive-command',
      purpose: 'print the lines for postgresql.conf that archive the write-ahead log',
    },
    {
      line: 'lifeboat init --rescue-script',
      purpose: "after an upgrade: put the new version's rescue script into the repository",
    },
  ],
  files: [
    [configFile[0], 'written if there is none'],
    [keyFile[0], 'the new key (mode 0600), beside the configuration file unless --key-file names another place'],
    ['package.json', 'with --npm-scripts: scripts that are missing are added'],
    ['STATE/signing-key.json', 'what this host signs with, made when it first writes'],
  ],
  exits: {
    done: 'set up, or set up already',
    warnings: 'set up, with something to know: backups are stored without encryption, or no schedules were proposed',
    ...repositoryExits,
    key: 'encryption is on and the configuration file names no key; or the key does not open the repository',
    space: 'the storage is full',
  },
  seeAlso: ['lifeboat-backup(1)', 'lifeboat-doctor(1)', 'lifeboat-keys(1)', 'lifeboat-schedule(1)', 'lifeboat-wal(7)'],
};
