/**
 * Progress on a terminal: per component bytes read, speed, new and stored bytes, elapsed and remaining.
 * One ora with a text of several lines: it must not read the keyboard (it would swallow Ctrl-C), and
 * is used only where there are columns (without them it would draw for ever).
 */
import type { Ora } from 'ora';
import type { EventSink, LifeboatEvent } from '../lib/events.ts';
import { printable } from '../lib/printable.ts';
import { formatDuration } from '../lib/time.ts';
import { formatBytes } from '../lib/units.ts';

type ProgressEvent = Extract<LifeboatEvent, { type: 'progress' }>;

interface Track {
  readonly startedMs: number;
  /** Of the first event: what a component had read before we looked counts for no speed. */
  readonly firstBytes: number;
  last: ProgressEvent;
}

/** Remembers the newest totals of each component. Clock in milliseconds. */
export class ProgressBook {
  readonly #tracks = new Map<string, Track>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  note(event: ProgressEvent): void {
    const track = this.#tracks.get(event.component);
    if (track === undefined) {
      this.#tracks.set(event.component, { startedMs: this.#now(), firstBytes: event.readBytes, last: event });
    } else track.last = event;
  }

  /** One line a component, in order of appearance. */
  lines(): string[] {
    return [...this.#tracks.values()].map((track) => this.#line(track));
  }

  #line({ startedMs, firstBytes, last }: Track): string {
    const elapsedMs = this.#now() - startedMs;
    const bytesPerSecond = elapsedMs < 1000 ? undefined : (last.readBytes - firstBytes) / (elapsedMs / 1000);
    const parts = [`${last.component}: read ${formatBytes(last.readBytes)}`];
    if (last.totalBytes !== undefined) {
      parts[0] += ` of about ${formatBytes(Math.max(last.totalBytes, last.readBytes))}`;
    }
    if (bytesPerSecond !== undefined) parts.push(`${formatBytes(Math.round(bytesPerSecond))}/s`);
    parts.push(
      `new ${formatBytes(last.newBytes)}`,
      `stored ${formatBytes(last.storedBytes)}`,
      formatDuration(elapsedMs),
    );
    const leftBytes = (last.totalBytes ?? 0) - last.readBytes;
    if (bytesPerSecond !== undefined && bytesPerSecond > 0 && leftBytes > 0) {
      parts.push(`about ${formatDuration((leftBytes / bytesPerSecond) * 1000)} left`);
    }
    return parts.join(', ');
  }
}

export interface ProgressDisplay {
  readonly emit: EventSink;
  /** Takes the drawing away while something else is on the terminal. */
  pause(): void;
  resume(): void;
  /** Takes it away for good. */
  end(): void;
}

const drawEveryMs = 200;

/**
 * Draws on `stream`; call only where isInteractive(). Steps and warnings stay as lines, the totals below them are
 * redrawn.
 */
export async function drawProgress(
  stream: NodeJS.WritableStream,
  book: ProgressBook,
  how: { readonly steps: boolean; readonly debug: boolean; readonly colour: boolean },
): Promise<ProgressDisplay> {
  const { default: ora } = await import('ora');
  const spinner: Ora = ora({ stream, discardStdin: false, text: 'starting', color: how.colour ? 'cyan' : false });
  spinner.start();
  let step = 'starting';
  let drawnMs = 0;
  const draw = (): void => {
    drawnMs = performance.now();
    spinner.text = [step, ...book.lines().map((line) => `  ${printable(line)}`)].join('\n');
  };
  const line = (text: string): void => {
    spinner.clear();
    stream.write(`${printable(text)}\n`);
    spinner.render();
  };
  const emit: EventSink = (event) => {
    const component = 'component' in event && event.component !== undefined ? `${event.component}: ` : '';
    if (event.type === 'warning') line(`warning: ${component}${event.message}`);
    else if (event.type === 'debug' && how.debug) line(`debug: ${component}${event.message}`);
    else if (event.type === 'step' && how.steps) step = printable(`${component}${event.message}`);
    if (event.type === 'step' || performance.now() - drawnMs > drawEveryMs) draw();
  };
  return { emit, pause: () => void spinner.stop(), resume: () => void spinner.start(), end: () => void spinner.stop() };
}
