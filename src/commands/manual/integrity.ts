/** What the manual says of lifeboat integrity. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Without flags it accounts for every object of the repository: what manifests name must be there with its size, ' +
      'what nobody names is an orphan, which a cleanup takes later, ' +
      'and unknown names are told. The past is looked at ' +
      'too: no backup and no record of the audit log may be missing. Of packs only names and sizes are looked at.',
    'Of the archived write-ahead log it tells what is missing (a gap, the history of a timeline, segments without ' +
      'which a base backup cannot be recovered), and reads a share with all tags, by default a seventh: another one ' +
      'each time, which this host remembers, so that seven nights read all of it (--log-share). What was found bad ' +
      'wal status, status and doctor tell from then on.',
    '--drill restores backups into throwaway PostgreSQL and Redis servers and folders of this machine, compares ' +
      'tables, keys ' +
      'and files with what was recorded, and keeps the result as evidence. With --pitr a cluster is recovered to a ' +
      'random moment, and the log itself has to show that all that was committed before is there, and nothing later.',
    "Functions of a database's owner run in a drill (constraints and indexes call them), so throwaway servers run in " +
      'namespaces, by bubblewrap, where they see nothing of this host but programs and their own folder, as root ' +
      'under a uid that nobody else has. Where there are none, root can run them as the system user that drill.user ' +
      'names and nothing else uses; otherwise drill.isolation "none" has to say that this code may read what ' +
      'lifeboat can, keys included. The evidence tells which it was.',
    'Configured servers are not touched, and the throwaway ones listen on private sockets only. All of it is ' +
      'removed afterwards, after a kill by the next run. Where a ' +
      'drill is not possible (a program, an extension or space is missing) that is said, and nothing is recorded.',
  ],
  examples: [
    { line: 'lifeboat integrity --drill', purpose: 'prove the newest backup of each target; for each week' },
    { line: 'lifeboat integrity', purpose: 'account for every object of the repository' },
    { line: 'lifeboat integrity --drill --pitr', purpose: 'prove the recovery to a random moment' },
    {
      line: 'lifeboat integrity --drill latest~1 --jobs 4',
      purpose: 'the backup before the newest, four streams side by side',
    },
  ],
  files: [configFile, keyFile, ['TMPDIR', 'throwaway servers and folders: as much room as the restored backup takes']],
  exits: {
    done: 'proven, or: every object is accounted for',
    warnings: 'there are orphans or unknown names, or a warning came up on the way',
    ...repositoryExits,
    not_found: 'no such backup, or no repository',
    locked: 'a cleanup is deleting this backup',
    integrity: 'a backup does not restore to what was recorded, or objects are missing',
    space: 'no drill was possible: not enough room',
    tool: 'no drill was possible: server programs or an extension are missing, or the server cannot be isolated',
    source: 'a throwaway server did not start, or died',
  },
  environment: [['TMPDIR', 'where throwaway servers are made']],
  seeAlso: ['lifeboat-validate(1)', 'lifeboat-status(1)', 'lifeboat-repository(7)'],
};
