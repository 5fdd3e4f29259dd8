/** What the manual says of lifeboat schedule. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Schedules stand in the configuration ("schedules", or BACKUP_SCHEDULES as JSON). Each says what is done ' +
      '(type), when (cronExpression, in the time zone that timezone names), and with which flags (options).',
    'Where clocks are changed: a moment that does not exist runs that much later, one that comes twice runs once; ' +
      'but where the hour is *, every hour that passes has its moment.',
    'Options by type: full, database, redis, files and base: target, label, tag, jobs, compression, ifRunning, ' +
      'timeout, maxSize. validate: target, all, quick, deep, sample, jobs. integrity: target. drill: target, jobs. ' +
      'drill-pitr: target, jobs, seed. cleanup: target, maxDelete, grace. status: target, maxAge, days. They mean ' +
      'what the flags of that name mean; the type integrity is lifeboat integrity, drill is lifeboat integrity ' +
      '--drill, and drill-pitr is --drill --pitr.',
    'add, update, remove, enable and disable change the configuration file in place: comments, order, layout, owner ' +
      'and mode stay, a link to it stays a link, and nothing but "schedules" is touched. A comment behind a schedule ' +
      'on its line goes with it. What the file would be is read first; where that is no configuration, nothing is ' +
      'changed. Options are given as --option maxSize=20GB, --option quick for what is true, and several times for ' +
      'a list; --target is one, too. Schedules from BACKUP_SCHEDULES are changed where they stand. --dry-run shows ' +
      'the lines.',
    'list reads the configuration only. show also tells what became of the moments that were due, where the ' +
      'repository and its key are at hand: done with the id of the backup, failed with its code, hung, skipped, ' +
      'caught up with by a later run, or never run; else it says why it is not known.',
    'run does at once what a schedule stands for, in this process: the audit log has it as its command, and it ends ' +
      'with that exit code. timeoutSeconds ends it as an operator would.',
    'run --slot does only what is due. A slot is one moment of one schedule; it is run at most once by all hosts ' +
      'that share the repository, so the same line may stand in the crontabs of two of them: who comes first takes ' +
      'its lease, and leaves a sealed record of what became of it (done, failed, hung, skipped, aborted), which a ' +
      'later run goes by. A failure that may pass is tried again after 1, 5 and 25 minutes (attempts). Moments that ' +
      'passed without a run since the schedule was first run so are caught up with as missed says: one run for all ' +
      'of them (once), none if its moment is more than graceMinutes ago (skip), or one for each, at most 100 (all). ' +
      'It ends with 0 where nothing is due, or another host is at it.',
    'print writes what calls the schedules that are switched on, with absolute paths: lines for crontab -e, a ' +
      'hardened service and a timer for systemd, or a CronJob for Kubernetes. All call run --slot. cron and systemd ' +
      'call each quarter of an hour, at minutes that fit the schedule: only what is due is run, so that one call is ' +
      'exactly on time whatever the time zone of the host (the cron of Debian knows no other), and what was missed ' +
      'or has failed for a while is caught up with a quarter later. A CronJob goes by the moments themselves, in the ' +
      'zone of the schedule, and once more an hour later. Nothing is printed by a run that is good, so cron sends ' +
      'mail only of others. Schedules that cannot be called so (@reboot) are named.',
    'install puts that in place itself: it shows what would be added, changed and removed, and asks (--yes: without ' +
      'a question; --dry-run: only shows). As root these are files in /etc/cron.d, or units in /etc/systemd/system ' +
      'whose timers are enabled and started; for another user lines at the end of the own crontab, or units of the ' +
      'own service manager. Each begins with a line that says which configuration it is written from; what does not ' +
      'is never touched, and keeps its name. Called again it brings all up to date, and takes out schedules that are ' +
      'gone or switched off; --remove takes out all of this configuration. --root puts them into another system, ' +
      'such as an image, where nothing is started. print and install tell which settings stand in the environment ' +
      'only, since what calls later has none of it: they belong into the configuration, or into a file (--env-file).',
    'What is run so is published in the repository, and lifeboat status on any host that has its key tells which ' +
      'moment of which schedule never came to a good end: one is degraded, two in a row are unhealthy, also where ' +
      'the host that should run it is gone. publish does so for all schedules of the configuration at once, and ' +
      'withdraws those that this host has published and no longer has; --withdraw does it for those of a host that ' +
      'is gone.',
    'Only records that are authentic count: nothing that somebody puts into the repository keeps a slot from ' +
      'running. Hosts that cannot read each other (public recipients only, or no encryption) list each other in ' +
      'encryption.trustedKeys, or each runs the slot.',
  ],
  examples: [
    { line: 'lifeboat schedule list', purpose: 'what runs when' },
    {
      line: 'lifeboat schedule run nightly --slot --quiet',
      purpose: 'for a crontab: what is due, once over all hosts; silent when all is well',
    },
    {
      line: 'lifeboat schedule add nightly --cron "15 2 * * *" --timezone Europe/Berlin --option maxSize=20GB',
      purpose: 'a backup each night; says when it runs next',
    },
    { line: 'lifeboat schedule publish', purpose: 'after a change: say in the repository what is in force' },
    { line: 'lifeboat schedule install --systemd', purpose: 'services and timers that call it, after a look at them' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'done, shown, or changed',
    warnings: 'done, with something to know; print, install: a schedule is left out',
    ...repositoryExits,
    not_found: 'there is no such schedule, or what its command does not find',
    confirmation: 'install: neither yes nor --yes was given',
    locked: 'another run holds what its command needs',
    source: 'a server cannot be reached, or the run took longer than timeoutSeconds',
    integrity: 'damage was found, or something does not restore',
    space: 'there is no room, or the backup is over its limit',
    tool: 'a program is missing',
    window: 'drill-pitr: no moment can be recovered',
    stale: 'status: unhealthy',
  },
  seeAlso: [
    'lifeboat-daemon(1)',
    'lifeboat-repository(7)',
    'lifeboat-backup(1)',
    'lifeboat-validate(1)',
    'lifeboat-status(1)',
    'crontab(5)',
    'systemd.timer(5)',
  ],
};
