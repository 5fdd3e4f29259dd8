/** What all commands have in common: the streams, the global flags, and the way from a request to an exit code. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../../config/config.ts';
import type { LoadedConfig, LoadOptions } from '../../config/load.ts';
import type { Layer } from '../../config/origins.ts';
import type { SecretNeeds } from '../../config/parser.ts';
import { messageOf } from '../../lib/errors.ts';
import type { EventSink, RunContext } from '../../lib/events.ts';
import { printable } from '../../lib/printable.ts';
import { onStatusRequest, withSignals } from '../../lib/signals.ts';
import type { Confirm, Operation, Question } from '../../operations/operation.ts';
import { areWanted } from '../../operations/metrics/wanted.ts';
import { exitCodeOfResult, perform as performOperation } from '../../operations/perform.ts';
import { jsonLogSink, logSink, type LogLevel } from '../../report/log.ts';
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
  /** What the result stands for. */
  exitCode = 0;
  readonly #readFlags: () => GlobalFlags;
  /** While something is drawn. */
  #display: ProgressDisplay | undefined;
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

  /** The configuration with the secrets that are needed. Its warnings are told unless --quiet, or it is `silent`. */
  async load(
    need: SecretNeeds,
    {
      silent = false,
      ...more
    }: Pick<LoadOptions, 'overrides' | 'configMayBeMissing' | 'texts' | 'signal'> & { readonly silent?: boolean } = {},
  ): Promise<LoadedConfig> {
    const { loadConfig } = await import('../../config/load.ts');
    const { config, envFile } = this.flags;
    const loaded = await loadConfig({ cwd: this.io.cwd, env: this.io.env, configPath: config, envFile, need, ...more });
    if (this.flags.quiet !== true && !silent) {
      for (const warning of loaded.warnings) await write(this.io.stderr, `warning: ${printable(warning)}\n`);
    }
    return loaded;
  }

  /** Prints a result and takes over its exit code. */
  async show<R>(result: R, view: View<R>, exitCode = 0): Promise<void> {
    await printResult(this.io, this.flags, result, view, exitCode);
    this.exitCode = exitCode;
  }

  /** Loads the configuration, runs one operation under signals and progress, prints its result. */
  async perform<O, Q, R extends object>(task: Task<O, Q, R>): Promise<void> {
    await withSignals(async (signal) => {
      const operation = await task.operation();
      const confirm: Confirm = async (question) => this.#ask(question, task.confirmed, signal);
      const request = operation.complete(task.options, { cwd: this.io.cwd, confirm });
      const more = { overrides: task.overrides ?? [], configMayBeMissing: task.writesConfig === true, signal };
      const loaded = await this.load(operation.need(request), more).catch(async (error: unknown) => {
        await this.#tellUnloaded(operation, request, error);
        throw error;
      });
      const listener = await this.#listen(loaded.config);
      const context = { signal, emit: listener.emit };
      let result: R;
      try {
        result = await performOperation(operation, { ...loaded, asOfMs: task.asOfMs }, request, context);
      } finally {
        if (operation.command !== undefined || operation.isMeasured) await this.#measure(loaded.config, context);
        listener.end();
      }
      await this.show(result, await task.view(), exitCodeOfResult(result));
    });
  }

  /** Writes and sends metrics where that is configured. */
  async #measure({ metrics }: Config, context: RunContext): Promise<void> {
    if (!areWanted(metrics) || context.signal.aborted) return;
    try {
      const { tellMetrics } = await import('../../operations/metrics/after-run.ts');
      const { surveyNeeds } = await import('../../operations/complete.ts');
      await tellMetrics(await this.load(surveyNeeds, { silent: true, signal: context.signal }), context);
    } catch (error) {
      context.emit({ type: 'warning', message: `there are no metrics of this run: ${messageOf(error)}` });
    }
  }

  /** That a run could not begin, where that is worth telling. */
  async #tellUnloaded<O, Q, R extends object>(
    { command, commandWithin = command }: Operation<O, Q, R>,
    request: Q,
    error: unknown,
  ): Promise<void> {
    if (commandWithin === undefined) return;
    const { tellUnloaded } = await import('../../operations/notify/unloaded.ts');
    const load = async (): Promise<LoadedConfig> => this.load({}, { silent: true });
    const emit = logSink((line) => void write(this.io.stderr, `${line}\n`), 'warn');
    await tellUnloaded(commandWithin, request, error, load, emit);
  }

  async #ask(question: Question, confirmed: string | undefined, signal: AbortSignal): Promise<void> {
    this.#display?.pause();
    await confirmByName(this.io, confirmed, question, signal);
    this.#display?.resume();
  }

  /**
   * Progress on a terminal, plain lines elsewhere, only warnings under --quiet. SIGUSR1 gets the totals in one line.
   */
  async #listen({ logLevel, logFormat }: Pick<Config, 'logLevel' | 'logFormat'>): Promise<Listener> {
    const { quiet = false, debug = false, json = false, color } = this.flags;
    const level: LogLevel = debug ? 'debug' : quiet ? 'warn' : logLevel;
    const book = new ProgressBook();
    const { stderr } = this.io;
    const draws = isInteractive(this.io) && !quiet && !json && logFormat !== 'json';
    const lines = logFormat === 'json' ? jsonLogSink : logSink;
    this.#display = draws
      ? await drawProgress(stderr, book, {
          steps: level !== 'warn' && level !== 'error',
          debug,
          colour: hasColours(stderr, this.io.env, color),
        })
      : undefined;
    const sink: EventSink = this.#display?.emit ?? lines((line) => void write(stderr, `${line}\n`), level);
    const status = onStatusRequest(() => void write(stderr, `${book.lines().join('; ') || 'nothing read yet'}\n`));
    return {
      emit: (event) => {
        if (event.type === 'progress') book.note(event);
        sink(event);
      },
      end: () => {
        status[Symbol.dispose]();
        this.#display?.end();
        this.#display = undefined;
      },
    };
  }
}

/** One command as data: an operation, and what the flags say of it. */
export interface Task<Options, Request, Result extends object> {
  readonly operation: () => Promise<Operation<Options, Request, Result>>;
  readonly options: Options;
  /** Flags that stand for configuration values. */
  readonly overrides?: readonly Layer[];
  /** The file that --config names need not be there. */
  readonly writesConfig?: boolean;
  /** --confirm. */
  readonly confirmed?: string | undefined;
  /** --as-of. */
  readonly asOfMs?: number | undefined;
  readonly view: () => Promise<View<Result>>;
}

interface Listener {
  readonly emit: EventSink;
  readonly end: () => void;
}
