/** Runs a program that the operator has configured, and tells what it printed. */
import type { Config, ConfiguredCommand } from '../../config/config.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { type CommandEnd, runOperatorCommand } from '../../lib/operator-command.ts';
import { formatDuration } from '../../lib/time.ts';
import { commandLine } from '../shell-words.ts';
import { secretValues, shownLines } from './mask.ts';

export interface CommandRun {
  readonly command: ConfiguredCommand;
  /** What it is called: "the hook before the backup". */
  readonly name: string;
  /** Where its time is set, for the hint. */
  readonly timeoutKey: string;
  /** Besides what it may see by its configuration. */
  readonly facts: Readonly<Record<string, string>>;
}

/**
 * Throws LifeboatError `tool` (16) unless it ends with 0 in its time, and the signal's reason once that is aborted;
 * without a signal only its own time ends it.
 */
export async function runConfigured(
  { command, name, timeoutKey, facts }: CommandRun,
  config: Config,
  { emit, signal }: { readonly emit: RunContext['emit']; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const secrets = secretValues(config, command.env.values());
  const seen = Object.fromEntries([...command.env].map(([key, secret]) => [key, secret.reveal()]));
  const line = shownLines(commandLine(command.command), secrets).join(' ');
  emit({ type: 'step', message: `running ${name}: ${line}` });
  const end = await runOperatorCommand(command, { ...seen, ...facts }, signal).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw new LifeboatError('tool', `${name} cannot be run: ${messageOf(error)}`, {
      hint: `see whether it is there and may be run: ${line}`,
      cause: error,
    });
  });
  const said = shownLines(end.output, secrets);
  for (const each of said) emit({ type: 'step', message: `${name}: ${each}` });
  const why = failureOf(end, command.timeoutMs);
  if (why === undefined) return;
  const last = said.slice(-3).join('; ');
  const longer = end.isTimedOut ? `; if it needs longer, raise ${timeoutKey}` : '';
  throw new LifeboatError('tool', `${name} ${why}${last === '' ? '' : `: ${last}`}`, {
    hint: `run it by hand to see why: ${line}${longer}`,
  });
}

function failureOf({ exitCode, signal, isTimedOut }: CommandEnd, timeoutMs: number): string | undefined {
  if (isTimedOut) return `ran longer than ${formatDuration(timeoutMs)} and was ended`;
  if (exitCode === 0) return undefined;
  return exitCode === null ? `was killed by ${signal ?? 'a signal'}` : `ended with ${exitCode}`;
}
