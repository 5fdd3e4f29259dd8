/** Lines for cron: silent when all is well, so that it sends mail when it is not. */
import { LifeboatError } from '../../lib/errors.ts';
import { printable } from '../../lib/printable.ts';
import type { PrintedFile } from './request.ts';
import { quarterMinutes, type Unit, type UnitScope } from './unit.ts';

const head = [
  '# Lifeboat: each line is called every quarter of an hour, and runs only what is due and nobody has run (--slot).',
  '# It prints nothing when all is well; cron sends what it prints otherwise by mail.',
];
const mailTo = 'MAILTO=root';

/** For a crontab; where lines of its user stand beside ours (`user`), mail goes where theirs does. */
export function cronFiles(units: readonly Unit[], scope?: UnitScope): PrintedFile[] {
  if (scope === 'system') return units.map(systemFile);
  const lines = units.flatMap((unit) => linesOf(unit));
  return [{ name: 'crontab', text: textOf([...head, ...(scope === 'user' ? [] : [mailTo]), ...lines]) }];
}

/** For /etc/cron.d, whose lines name a user; see cron(8): names with a dot would be passed over. */
function systemFile(unit: Unit): PrintedFile {
  return { name: `lifeboat-${unit.schedule.id}`, text: textOf([...head, mailTo, ...linesOf(unit, 'root ')]) };
}

function linesOf({ schedule: { name, cronExpression, timezone }, cron, argv }: Unit, user = ''): string[] {
  const minutes = quarterMinutes(cron);
  const when = `${cronExpression} in ${timezone ?? 'the time zone of the host'}`;
  const field = minutes.length === 60 ? '*' : minutes.join(',');
  return [`# ${printable(name)}: ${when}`, `${field} * * * * ${user}${argv.map(cronWord).join(' ')}`];
}

function textOf(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

/**
 * A word for the shell that cron starts. cron takes a percent sign for the end of the line unless a backslash stands
 * before it, and some take that backslash away and some do not: outside of quotes it is the same to the shell.
 */
function cronWord(word: string): string {
  // A backslash before a percent sign could not be told from ours; a line ends with a line feed, whatever is around it.
  if (/[\\\p{Cc}]/u.test(word)) {
    throw new LifeboatError(
      'usage',
      `cannot write a line for cron: "${printable(word)}" has characters that it cannot`,
      { hint: 'use a path without backslashes and control characters, or systemd: --systemd' },
    );
  }
  return word
    .split('%')
    .map((part) => (/^[\w@+=:,./-]*$/.test(part) ? part : `'${part.replaceAll("'", `'"'"'`)}'`))
    .join(String.raw`\%`);
}
