/** The command that brings back what a backup before a deployment holds, and whether it would run. */
import type { LoadedConfig } from '../../config/load.ts';
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import type { BackupResult } from '../backup/request.ts';
import { restoreOperation } from '../restore/restore.ts';
import { commandLine } from '../shell-words.ts';

type Done = Extract<BackupResult, { outcome: 'done' }>;

/**
 * All of it, in place of what is there by then: each part is restored beside, compared and then swapped, and what it
 * replaces is saved by a backup and kept. It asks nobody, since it names what is replaced.
 */
export function undoOf({ file }: LoadedConfig, { id, target }: Done): NonNullable<Done['undo']> {
  const config = file === undefined ? [] : ['--config', file];
  const argv = ['lifeboat', 'restore', id, ...config, '--target', target, '--into-live', `--confirm=${target}`];
  return { command: commandLine(argv), argv };
}

/** Plans that restore. What is in its way is a warning: it may be cleared until the command is needed. */
export async function requireUndo(loaded: LoadedConfig, { id, target }: Done, context: RunContext): Promise<void> {
  const intoLive = true;
  const parts = { postgres: { intoLive }, redis: { intoLive }, files: { intoLive } };
  const nobody = { cwd: '/', confirm: async () => {} };
  const request = restoreOperation.complete({ id, target, dryRun: true, ...parts }, nobody);
  try {
    await restoreOperation.run(loaded, request, context);
  } catch (error) {
    context.signal.throwIfAborted();
    context.emit({
      type: 'warning',
      message: `the command that goes back would fail as things are: ${messageOf(error)}`,
    });
  }
}
