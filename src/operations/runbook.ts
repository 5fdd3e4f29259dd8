/** The runbook, with what a reachable repository can tell (newest backups, measured times): printed, and written to the state folder. */
import type { LoadedConfig } from '../config/load.ts';
import { messageOf } from '../lib/errors.ts';
import type { RunContext } from '../lib/events.ts';
import { emergencyStatus, type EmergencyStatusResult } from './emergency-status.ts';
import { runbookText, writeRunbook } from './runbook-text.ts';

export interface RunbookRequest {
  readonly target?: string | undefined;
  /** Do not ask the repository. */
  readonly offline: boolean;
}

export interface RunbookResult {
  /** Markdown. */
  readonly text: string;
  /** Where it was written, if that was possible. */
  readonly file?: string | undefined;
  readonly warnings: readonly string[];
}

export async function runbook(loaded: LoadedConfig, request: RunbookRequest, context: RunContext): Promise<RunbookResult> {
  const warnings: string[] = [];
  const warn = (message: string): void => {
    warnings.push(message);
    context.emit({ type: 'warning', message });
  };
  let status: EmergencyStatusResult | undefined;
  if (!request.offline) {
    status = await emergencyStatus(loaded, { target: request.target }, context).catch((error: unknown) => {
      context.signal.throwIfAborted();
      warn(`the repository does not answer, so newest backups and measured times are left out: ${messageOf(error)}`);
      return undefined;
    });
  }
  const text = runbookText(loaded, request.target, status);
  const file = await writeRunbook(loaded, text).catch((error: unknown) => warn(`the runbook cannot be written to the state folder: ${messageOf(error)}`));
  return { text, file: file ?? undefined, warnings };
}
