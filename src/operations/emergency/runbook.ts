/**
 * The runbook, with what a reachable repository can tell (newest backups, measured times): printed, and written to the
 * state folder; or the one that a backup holds.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { printable } from '../../lib/printable.ts';
import { formatDuration } from '../../lib/time.ts';
import { emergencyStatus, type EmergencyStatusResult } from './status.ts';
import { chooseBackup } from '../choose-backup.ts';
import { readRunbook } from '../backup-facts.ts';
import { withReadRepository } from '../open-repository.ts';
import { runbookText, writeRunbook } from '../backup/runbook-text.ts';
import type { Some } from '../complete.ts';
import type { Operation } from '../operation.ts';
import { given, surveyNeeds } from '../complete.ts';

export interface RunbookRequest {
  readonly target?: string | undefined;
  /** Do not ask the repository. */
  readonly offline: boolean;
  /** Id of a backup: the runbook that it holds, as it was then; nothing is written. */
  readonly from?: string | undefined;
}

/** Default: with what the repository can tell. */
export type RunbookOptions = Some<RunbookRequest>;

export interface RunbookResult {
  /** Markdown. */
  readonly text: string;
  /** Where it was written, if that was possible. */
  readonly file?: string | undefined;
  readonly warnings: readonly string[];
}

export const runbookOperation: Operation<RunbookOptions, RunbookRequest, RunbookResult> = {
  need: ({ offline, from }) => (offline && from === undefined ? { targets: 'all', mayLackTargets: true } : surveyNeeds),
  complete: (options) => ({ offline: false, ...given(options) }),
  run: runbook,
};

export async function runbook(
  loaded: LoadedConfig,
  request: RunbookRequest,
  context: RunContext,
): Promise<RunbookResult> {
  const warnings: string[] = [];
  const warn = (message: string): void => {
    warnings.push(message);
    context.emit({ type: 'warning', message });
  };
  if (request.from !== undefined) {
    return { text: await stored(loaded, request.from, request.target, context), warnings };
  }
  let status: EmergencyStatusResult | undefined;
  if (!request.offline) {
    status = await emergencyStatus(loaded, { target: request.target }, context).catch((error: unknown) => {
      context.signal.throwIfAborted();
      warn(`the repository does not answer, so newest backups and measured times are missing: ${messageOf(error)}`);
      return undefined;
    });
  }
  const text = runbookText(loaded, request.target, status === undefined ? [] : outlook(status));
  const file = await writeRunbook(loaded, text).catch((error: unknown) =>
    warn(`the runbook is not kept in the state folder: ${messageOf(error)}`),
  );
  return { text, file: file ?? undefined, warnings };
}

async function stored(
  loaded: LoadedConfig,
  id: string,
  target: string | undefined,
  context: RunContext,
): Promise<string> {
  return withReadRepository(loaded, context, async (repository) => {
    const { manifest } = await chooseBackup(
      repository,
      { id, target: target ?? loaded.config.defaultTarget, force: false },
      context.emit,
    );
    const text = await readRunbook(repository, manifest);
    if (text !== undefined) return text;
    throw new LifeboatError('not_found', `backup ${manifest.id} holds no runbook`, {
      hint: 'make one from the configuration: lifeboat runbook',
    });
  });
}

/** The chapter on what can be had, as lines of Markdown. */
function outlook({ targets }: EmergencyStatusResult): string[] {
  const rows = targets.flatMap(({ target, components }) =>
    components.map(
      ({ component, id, takenAt, provenAt, expectedMs }) =>
        `| ${target} | ${printable(component)} | ${id ?? 'none is whole'} | ${takenAt ?? ''} | ` +
        `${provenAt ?? 'never'} | ${expectedMs === undefined ? 'not measured' : formatDuration(expectedMs)} |`,
    ),
  );
  return [
    '## What could be had when this was made',
    '',
    '| target | component | newest whole backup | taken | proven | restore took |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ];
}
