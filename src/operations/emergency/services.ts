/**
 * The commands that stop and start what writes to a target. They often leave a daemon behind that keeps their output
 * open, so that goes to a file and the end of the command itself is what counts; one that hangs is ended with all
 * that it has started, so that the restore does not hang with it.
 */
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { EmergencyConfig } from '../../config/config.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { runTool } from '../../lib/exec.ts';
import { stateFolderHint, tellingFileErrors } from '../../lib/file-errors.ts';
import { ensureFolder } from '../../lib/fs.ts';
import { abortAfter } from '../../lib/long-timer.ts';
import { createFileAt, readTextAt, removeFile } from '../../lib/held-files.ts';
import { formatDuration } from '../../lib/time.ts';
import { commandLine } from '../shell-words.ts';

/**
 * Returns a line with what it did. Throws `tool` (16) when it fails or takes too long, `usage` when none is configured.
 */
export async function runService(
  what: 'stop' | 'start',
  emergency: EmergencyConfig,
  log: string,
  { signal }: RunContext,
): Promise<string[]> {
  const argv = what === 'stop' ? emergency.stopServices : emergency.startServices;
  const [file, ...args] = argv ?? [];
  if (argv === undefined || file === undefined) {
    throw new LifeboatError('usage', `no command to ${what} services is configured any more`, {
      hint: `configure emergency.${what}Services, or ${what} them by hand and configure ["true"]`,
    });
  }
  const limit = abortAfter(emergency.serviceTimeoutMs);
  await using output = await openLog(log);
  try {
    await runTool({
      file,
      args,
      stdout: output.fd,
      stderr: output.fd,
      detached: true,
      signal: AbortSignal.any([signal, limit]),
    });
    return [];
  } catch (error) {
    signal.throwIfAborted();
    const why = limit.aborted
      ? `it ran longer than ${formatDuration(emergency.serviceTimeoutMs)} and was ended`
      : messageOf(error);
    const said = await lastLines(log);
    const reason = said === '' ? why : `${why}: ${said}`;
    const longer = limit.aborted ? '; if it needs longer, raise emergency.serviceTimeoutSeconds' : '';
    const hint = `run it by hand to see why: ${commandLine(argv)}; what it printed is in ${log}${longer}`;
    const done = what === 'stop' ? 'stopped' : 'started';
    throw new LifeboatError('tool', `services cannot be ${done}: ${reason}`, { hint, cause: error });
  }
}

async function openLog(log: string): Promise<FileHandle> {
  return tellingFileErrors(`cannot write what services print to ${log}`, { hint: stateFolderHint }, async () => {
    await ensureFolder(dirname(log));
    await removeFile(log);
    return createFileAt(log);
  });
}

/** The end of what it printed. */
async function lastLines(log: string): Promise<string> {
  const text = await readTextAt(log).catch(() => '');
  return text.trim().split('\n').slice(-3).join('; ').slice(-500);
}
