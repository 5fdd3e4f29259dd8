/** What is wrong with a configuration: collected, then told in one message. */
import { LifeboatError } from '../lib/errors.ts';

export interface Fault {
  /** Environment name, flag, or `file: path.in.it`. */
  readonly where: string;
  /** Lower case; never a secret's value. */
  readonly message: string;
}

/** One error (exit code 2) for all faults; throws nothing itself. `faults` must not be empty. */
export function configurationError(faults: readonly Fault[]): LifeboatError {
  const lines = faults.map((fault) => `${fault.where}: ${fault.message}`);
  const message =
    lines.length === 1
      ? `cannot use the configuration: ${lines[0]}`
      : `cannot use the configuration, ${lines.length} faults:\n  ${lines.join('\n  ')}`;
  return new LifeboatError('usage', message, {
    hint: 'see man lifeboat.config(5), or run: lifeboat config show',
    facts: { faults },
  });
}
