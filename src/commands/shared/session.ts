/** What all commands have in common: the streams, the global flags, and the way from a request to an exit code. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { LoadedConfig, LoadOptions } from '../../config/load.ts';
import type { Layer } from '../../config/origins.ts';
import type { SecretNeeds } from '../../config/parser.ts';
import { exitCodeWarnings } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { onStatusRequest, withSignals } from '../../lib/signals.ts';
import type { Confirm, Operation } from '../../operations/operation.ts';
import { logSink, type LogLevel } from '../../report/log.ts';
import { confirmByName } from '../../ui/confirm.ts';
import { drawProgress, ProgressBook, type ProgressDisplay } from '../../ui/progress.ts';
import { hasColours, isInteractive, write, type CliIo } from '../../ui/terminal.ts';
import { printResult, type View } from '../../ui/view.ts';

/** Accepted before and after the name of the command. */
export interface GlobalFlags {
  readonly config?: string;
  readonly envFile?: string;
  readonly target?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
  readonly color: boolean;
}

/** One call of the program. */
export class Session {
  readonly io: CliIo;
  /** 0, or 3 when there was something to warn of. */
  exitCode = 0;
  readonly #readFlags: () => GlobalFlags;
  /** Every command with all that it takes: for what describes the program. */
  readonly declareAll: () => Promise<Command>;

  constructor(io: CliIo, readFlags: () => GlobalFlags, declareAll: () => Promise<Command>) {
    this.io = io;
    this.#readFlags = readFlags;
    this.declareAll = declareAll;
  }

  get flags(): GlobalFlags {
    return this.#readFlags();
  }

  /** A path given on the command line, made absolute. */
  path(given: string): string {
    return resolve(this.io.cwd, given);
  }

  /** The configuration with the secrets that are needed. Its warnings are told unless --quiet. */
  async load(
    need: SecretNeeds,
    more: Pick<LoadOptions, 'overrides' | 'configMayBeMissing' | 'signal'> = {},
  ): Promise<LoadedConfig> {
    const { loadConfig } = await import('../../config/load.ts');
    const { config, envFile } = this.flags;
    const loaded = await loadConfig({ cwd: this.io.cwd, env: this.io.env, configPath: config, envFile, need, ...more });
    if (this.flags.quiet !== true) {
      for (const warning of loaded.warnings) await write(this.io.stderr, `warning: ${warning}\n`);
    }
    return loaded;
  }

  /** Prints a result and takes over its exit code. */
  async show<R>(result: R, view: View<R>, warnings = 0): Promise<void> {
    await printResult(this.io, this.flags, result, view);
    this.exitCode = view.exitCode?.(result) ?? (warnings > 0 ? exitCodeWarnings : 0);
  }

  /** Loads the configuration, runs one operation under signals and progress, prints its result. */
  async perform<Q, R>(task: Task<Q, R>): Promise<void> {
    await withSignals(async (signal) => {
      const loaded = await this.load(task.need, {
        overrides: task.overrides ?? [],
        configMayBeMissing: task.writesConfig === true,
        signal,
      });
      const operation = await task.operation();
      const listener = await this.#listen(loaded.config.logLevel);
      const confirm: Confirm = async (question) => {
        listener.display?.pause();
        await confirmByName(this.io, task.confirmed, question, signal);
        listener.display?.resume();
      };
      let result: R;
      try {
        result = await operation({ ...loaded, asOfMs: task.asOfMs }, task.request(confirm), {
          signal,
          emit: listener.emit,
        });
      } finally {
        listener.end();
      }
      await this.show(result, await task.view(), listener.warnings() + countWarnings(result));
    });
  }

  /**
   * Progress on a terminal, plain lines elsewhere, only warnings under --quiet. SIGUSR1 gets the totals in one line.
   */
  async #listen(configured: LogLevel): Promise<Listener> {
    const { quiet = false, debug = false, json = false, color } = this.flags;
    const level: LogLevel = debug ? 'debug' : quiet ? 'warn' : configured;
    const book = new ProgressBook();
    const { stderr } = this.io;
    const draws = isInteractive(this.io) && !quiet && !json;
    const display = draws
      ? await drawProgress(stderr, book, {
          steps: level !== 'warn' && level !== 'error',
          debug,
          colour: hasColours(stderr, this.io.env, color),
        })
      : undefined;
    const sink: EventSink = display?.emit ?? logSink((line) => void write(stderr, `${line}\n`), level);
    const status = onStatusRequest(() => void write(stderr, `${book.lines().join('; ') || 'nothing read yet'}\n`));
    let warnings = 0;
    return {
      display,
      emit: (event) => {
        if (event.type === 'progress') book.note(event);
        if (event.type === 'warning') warnings++;
        sink(event);
      },
      warnings: () => warnings,
      end: () => {
        status[Symbol.dispose]();
        display?.end();
      },
    };
  }
}

/** One command as data. */
export interface Task<Q, R> {
  readonly need: SecretNeeds;
  readonly overrides?: readonly Layer[];
  /** The file that --config names need not be there. */
  readonly writesConfig?: boolean;
  /** --confirm. */
  readonly confirmed?: string | undefined;
  /** --as-of. */
  readonly asOfMs?: number | undefined;
  readonly operation: () => Promise<Operation<Q, R>>;
  readonly request: (confirm: Confirm) => Q;
  readonly view: () => Promise<View<R>>;
}

interface Listener {
  readonly display: ProgressDisplay | undefined;
  readonly emit: EventSink;
  readonly warnings: () => number;
  readonly end: () => void;
}

/** Results name their warnings too; those of an event are among them, but only "any" matters. */
function countWarnings(result: unknown): number {
  const { warnings } = result as { warnings?: unknown };
  return Array.isArray(warnings) ? warnings.length : 0;
}
