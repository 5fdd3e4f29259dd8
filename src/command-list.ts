/** All commands by name; what a command takes and does is loaded when it is called. */
import type { Command } from 'commander';
import type { Session } from './commands/shared/session.ts';

interface CommandModule {
  /** Adds arguments, flags and the action. */
  readonly declare: (command: Command, session: Session) => void;
}

interface Entry {
  readonly name: string;
  readonly sentence: string;
  readonly load: () => Promise<CommandModule>;
}

/** In the order of the help. */
export const commands: readonly Entry[] = [
  {
    name: 'init',
    sentence: 'set up: write the configuration, create the repository and its key, print the next steps',
    load: async () => import('./commands/init.ts'),
  },
  {
    name: 'backup',
    sentence: 'take a backup of the configured components (default: all) and record a manifest',
    load: async () => import('./commands/backup.ts'),
  },
  { name: 'list', sentence: 'the backups in the repository', load: async () => import('./commands/list.ts') },
  {
    name: 'show',
    sentence: 'everything known of one backup, its evidence included',
    load: async () => import('./commands/show.ts'),
  },
  {
    name: 'restore',
    sentence: 'put chosen parts of a backup into a chosen target',
    load: async () => import('./commands/restore.ts'),
  },
  {
    name: 'export',
    sentence: 'write the parts of a backup as plain files: .dump for pg_restore, .rdb, .tar, with SHA256SUMS',
    load: async () => import('./commands/export.ts'),
  },
  {
    name: 'pitr',
    sentence: 'recover PostgreSQL to a moment: plan, check, or carry out',
    load: async () => import('./commands/pitr.ts'),
  },
  {
    name: 'create-restore-point',
    sentence: 'name a moment of PostgreSQL to come back to',
    load: async () => import('./commands/create-restore-point.ts'),
  },
  {
    name: 'wal',
    sentence: 'what the server calls to archive its write-ahead log and to read it back',
    load: async () => import('./commands/wal.ts'),
  },
  {
    name: 'validate',
    sentence:
      'are the stored bytes what the manifest says? (--quick: presence and sizes; --deep: decoded, each archive read)',
    load: async () => import('./commands/validate.ts'),
  },
  {
    name: 'integrity',
    sentence:
      'does it restore? (--drill: proven in throwaway servers); and the repository as a whole: every object ' +
      'accounted for',
    load: async () => import('./commands/integrity.ts'),
  },
  {
    name: 'schedule',
    sentence: 'what runs when: the schedules of the configuration, and running one of them',
    load: async () => import('./commands/schedule.ts'),
  },
  {
    name: 'daemon',
    sentence: 'run the schedules of the configuration when they are due, until stopped',
    load: async () => import('./commands/daemon.ts'),
  },
  {
    name: 'status',
    sentence:
      'one verdict (healthy, degraded, unhealthy), why, what to do ' +
      'next, what can be restored and how long it would take',
    load: async () => import('./commands/status.ts'),
  },
  {
    name: 'metrics',
    sentence: 'what status finds, for a monitoring system: as Prometheus reads it, in a file, or sent',
    load: async () => import('./commands/metrics.ts'),
  },
  {
    name: 'acknowledge',
    sentence: 'accept a warning that status gives',
    load: async () => import('./commands/acknowledge.ts'),
  },
  {
    name: 'notify',
    sentence: 'who is told when something is wrong: test the channels, send what waits, list what is open',
    load: async () => import('./commands/notify.ts'),
  },
  {
    name: 'cleanup',
    sentence: 'delete what the retention policy no longer keeps',
    load: async () => import('./commands/cleanup.ts'),
  },
  {
    name: 'undelete',
    sentence: 'take a deleted backup back within the grace time',
    load: async () => import('./commands/undelete.ts'),
  },
  {
    name: 'hold',
    sentence: 'keep a backup whatever the retention policy says',
    load: async () => import('./commands/hold.ts'),
  },
  {
    name: 'release',
    sentence: 'let the retention policy decide on a backup again',
    load: async () => import('./commands/release.ts'),
  },
  {
    name: 'emergency-restore',
    sentence: 'everything back from the newest whole backup, with only the repository and the key',
    load: async () => import('./commands/emergency-restore.ts'),
  },
  {
    name: 'runbook',
    sentence: 'print the plan for the day of a disaster, with the exact commands for this installation',
    load: async () => import('./commands/runbook.ts'),
  },
  {
    name: 'keys',
    sentence: 'make keys, and say who can read the repository',
    load: async () => import('./commands/keys.ts'),
  },
  { name: 'unlock', sentence: 'remove the leases of dead runs', load: async () => import('./commands/unlock.ts') },
  {
    name: 'doctor',
    sentence: 'check tools, rights, servers, clock, space and key, and say what to do about each',
    load: async () => import('./commands/doctor.ts'),
  },
  {
    name: 'audit',
    sentence: 'who changed, restored, took out or deleted what, and whether that log is whole',
    load: async () => import('./commands/audit.ts'),
  },
  {
    name: 'report',
    sentence: 'what was to run, ran and was proven over a time, for auditors and managers',
    load: async () => import('./commands/report.ts'),
  },
  {
    name: 'config',
    sentence: 'print each configuration value with its origin, secrets masked',
    load: async () => import('./commands/config.ts'),
  },
  {
    name: 'completion',
    sentence: 'print a script that completes the command line in bash, zsh or fish',
    load: async () => import('./commands/completion.ts'),
  },
  {
    name: 'version',
    sentence: 'print the versions of lifeboat and of what it runs on',
    load: async () => import('./commands/version.ts'),
  },
];
