/**
 * Events as lines, for cron's mail, systemd's journal and files: time, level, component, message. Plain for people, or
 * a JSON object each for what collects logs.
 */
import type { EventSink, LifeboatEvent } from '../lib/events.ts';
import { printable } from '../lib/printable.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

const order: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/**
 * A sink that writes one line for each event of at least `level`. Progress is no line: an idle night's mail stays
 * short.
 */
export function logSink(write: (line: string) => void, level: LogLevel, now: () => Date = () => new Date()): EventSink {
  return (event) => {
    const entry = entryOf(event);
    if (entry === undefined || order.indexOf(entry.level) < order.indexOf(level)) return;
    const component = 'component' in event && event.component !== undefined ? `${event.component}: ` : '';
    const time = now()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z');
    write(printable(`${time} ${entry.level} ${component}${entry.message.replaceAll(/\s*\n\s*/g, ' ')}`));
  };
}

/** The same as JSON objects: `time` (RFC 3339, milliseconds), `level`, `component` where there is one, `message`. */
export function jsonLogSink(
  write: (line: string) => void,
  level: LogLevel,
  now: () => Date = () => new Date(),
): EventSink {
  return (event) => {
    const entry = entryOf(event);
    if (entry === undefined || order.indexOf(entry.level) < order.indexOf(level)) return;
    const component = 'component' in event ? event.component : undefined;
    write(
      printable(JSON.stringify({ time: now().toISOString(), level: entry.level, component, message: entry.message })),
    );
  };
}

function entryOf(event: LifeboatEvent): { level: LogLevel; message: string } | undefined {
  switch (event.type) {
    case 'step':
      return { level: 'info', message: event.message };
    case 'warning':
      return { level: 'warn', message: event.message };
    case 'debug':
      return { level: 'debug', message: event.message };
    case 'artifact':
      return {
        level: 'debug',
        message: `${event.name} is stored (${event.bytes} bytes, ${event.storedBytes} in the repository)`,
      };
    case 'timing':
      return { level: 'debug', message: `${event.name} took ${event.seconds.toFixed(2)} s` };
    case 'snapshot':
      return { level: 'debug', message: `reads ${event.database} at snapshot ${event.snapshot}` };
    case 'snapshot-end':
    case 'progress':
      return undefined;
  }
}
