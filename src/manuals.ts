/** Where the words of each command's manual are: for the manual pages and for `--help`; nothing else loads them. */
import type { Example, Manual } from './commands/shared/manual-page.ts';

interface ManualModule {
  readonly manual: Manual;
}

/** By the name of the command. */
export const manuals: Readonly<Record<string, () => Promise<ManualModule>>> = {
  init: async () => import('./commands/manual/init.ts'),
  backup: async () => import('./commands/manual/backup.ts'),
  list: async () => import('./commands/manual/list.ts'),
  show: async () => import('./commands/manual/show.ts'),
  restore: async () => import('./commands/manual/restore.ts'),
  export: async () => import('./commands/manual/export.ts'),
  pitr: async () => import('./commands/manual/pitr.ts'),
  'create-restore-point': async () => import('./commands/manual/create-restore-point.ts'),
  wal: async () => import('./commands/manual/wal.ts'),
  validate: async () => import('./commands/manual/validate.ts'),
  integrity: async () => import('./commands/manual/integrity.ts'),
  schedule: async () => import('./commands/manual/schedule.ts'),
  daemon: async () => import('./commands/manual/daemon.ts'),
  status: async () => import('./commands/manual/status.ts'),
  metrics: async () => import('./commands/manual/metrics.ts'),
  acknowledge: async () => import('./commands/manual/acknowledge.ts'),
  notify: async () => import('./commands/manual/notify.ts'),
  cleanup: async () => import('./commands/manual/cleanup.ts'),
  undelete: async () => import('./commands/manual/undelete.ts'),
  hold: async () => import('./commands/manual/hold.ts'),
  release: async () => import('./commands/manual/release.ts'),
  'emergency-restore': async () => import('./commands/manual/emergency-restore.ts'),
  runbook: async () => import('./commands/manual/runbook.ts'),
  keys: async () => import('./commands/manual/keys.ts'),
  unlock: async () => import('./commands/manual/unlock.ts'),
  doctor: async () => import('./commands/manual/doctor.ts'),
  audit: async () => import('./commands/manual/audit.ts'),
  report: async () => import('./commands/manual/report.ts'),
  config: async () => import('./commands/manual/config.ts'),
  completion: async () => import('./commands/manual/completion.ts'),
  version: async () => import('./commands/manual/version.ts'),
};

/** The examples of a command. */
export async function examplesOf(command: string): Promise<readonly Example[]> {
  return (await manuals[command]?.())?.manual.examples ?? [];
}
