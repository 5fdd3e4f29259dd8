/**
 * The line that says that `schedule install` has written what follows, and from which configuration: nothing else is
 * ever changed or taken away. Pure.
 */
import { LifeboatError } from '../../lib/errors.ts';

/** `file`: of the configuration. */
export function markOf(file: string): string {
  return `# Written by lifeboat schedule install from ${JSON.stringify(file)}: what is changed here is lost.`;
}

/** The configuration that a text is written from; undefined: its first line is no mark. */
export function configurationOf(text: string): string | undefined {
  const [first = ''] = text.split('\n', 1);
  const [, quoted] =
    /^# Written by lifeboat schedule install from (".*"): what is changed here is lost\.$/.exec(first) ?? [];
  if (quoted === undefined) return undefined;
  try {
    return String(JSON.parse(quoted));
  } catch {
    return undefined;
  }
}

/** Says whose it is, and how it can be put away. */
export function notOurs(path: string, other: string | undefined): LifeboatError {
  const whose = other === undefined ? 'lifeboat did not write it' : `it belongs to another configuration, ${other}`;
  const hint =
    other === undefined
      ? 'see who put it there; move it away, or give the schedule another id'
      : 'give the schedule another id; or first take those out: lifeboat schedule install --remove --config ' + other;
  return new LifeboatError('usage', `cannot put ${path} in place: ${whose}`, { state: 'nothing was changed', hint });
}
