/**
 * Status as a plugin of Nagios, Icinga or Checkmk prints it: one line that says how it is, numbers for plots behind a
 * bar, then all reasons, one a line. (Monitoring Plugins Development Guidelines, "Plugin Output for Nagios".)
 */
import { messageOf } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';
import type { StatusResult } from '../operations/status/request.ts';
import type { View } from './view.ts';

/** What a plugin exits with. */
export const nagiosExitCodes = { healthy: 0, degraded: 1, unhealthy: 2, unknown: 3 } as const;
const words = { healthy: 'OK', degraded: 'WARNING', unhealthy: 'CRITICAL' } as const;

export const nagiosView: View<StatusResult> = {
  schema: 'lifeboat.status/v1',
  kind: 'query',
  hasLines: true,
  text: (result) => {
    const open = result.reasons.filter(({ acknowledged }) => acknowledged === undefined);
    const [first, ...others] = open.map(({ message }) => plain(message));
    const what = first === undefined ? 'all backups are as promised' : first;
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
    const line = `LIFEBOAT ${words[result.verdict]} - ${what}${more} | ${figures(result).join(' ')}`;
    return [line, ...others, ...(result.next === undefined ? [] : [`next: ${plain(result.next)}`])].join('\n');
  },
};

/** Where status could not be found out: the check itself failed. */
export function nagiosUnknown(error: unknown): string {
  return `LIFEBOAT UNKNOWN - ${plain(messageOf(error))}\n`;
}

function figures({ targets, storage }: StatusResult): string[] {
  return [
    ...targets.flatMap(({ name, components, restoreTime }) => [
      ...components.flatMap((component) => figure(`age ${name} ${component.name}`, seconds(component.ageMs), 's')),
      ...figure(`restore ${name}`, seconds(restoreTime?.ms), 's'),
    ]),
    ...figure('stored', storage.storedBytes, 'B'),
    ...figure('free', storage.freeBytes, 'B'),
  ];
}

function figure(label: string, value: number | undefined, unit: string): string[] {
  return value === undefined ? [] : [`'${label.replaceAll(/['=|]/g, '_')}'=${value}${unit}`];
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms / 1000);
}

/** A bar would end the text. */
function plain(text: string): string {
  return printable(text).replaceAll(/\s+/g, ' ').replaceAll('|', '/');
}
