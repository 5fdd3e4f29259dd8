/**
 * The calls of one Lifeboat: each loads the configuration anew, tells its events to whoever listens, and ends with what
 * the program ends. What is done in them is for operations to know.
 */
import { resolve } from 'node:path';
import type { Environment } from './config/discover.ts';
import { loadConfig, type LoadedConfig } from './config/load.ts';
import type { SecretNeeds } from './config/parser.ts';
import { processEnvironment } from './config/process-environment.ts';
import { LifeboatError } from './lib/errors.ts';
import type { EventSink, LifeboatEvent } from './lib/events.ts';
import type { Confirm, Operation, Surroundings } from './operations/operation.ts';
import { perform } from './operations/perform.ts';

/** How a Lifeboat is opened; all of it may be left out. */
export interface OpenOptions {
  /**
   * Path of a configuration file, or what would stand in one. Default: the search of the command line,
   * from `cwd` upward. As there, the environment wins over it: `env: {}` keeps it out.
   */
  readonly config?: string | Readonly<Record<string, unknown>> | undefined;
  /** Default: the process's environment. */
  readonly env?: Environment | undefined;
  /** Where relative paths start. Default: the process's working directory. */
  readonly cwd?: string | undefined;
  /** Where this host keeps its state. Default: as configured. Use one for all of a process. */
  readonly stateDir?: string | undefined;
  /** Ends every operation of this Lifeboat. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Asked before something is overwritten or dropped; resolves to allow it. Default: it is refused with LifeboatError
   * `confirmation`.
   */
  readonly confirm?: Confirm | undefined;
  /** The same as onEvent(), but from the start. */
  readonly onEvent?: EventSink | undefined;
}

/** For one call of a method. */
export interface CallOptions {
  /** Ends this call: it rejects with the signal's reason once children are ended and leases released. */
  readonly signal?: AbortSignal | undefined;
  /** Hears the events of this call only. */
  readonly onEvent?: EventSink | undefined;
}

/** For methods that only read the repository. */
export interface ReadOptions extends CallOptions {
  /** As it was at that moment, where versions are kept: behind what was overwritten or deleted since. */
  readonly asOf?: Date | undefined;
}

/** Operations are loaded when they are called for. */
export type LoadOperation<Options, Request, Result extends object> = () => Promise<Operation<Options, Request, Result>>;

/** Made by openLifeboat(), which checks the configuration first. */
export class LibraryCalls {
  readonly #options: OpenOptions;
  readonly #surroundings: Surroundings;
  readonly #listeners = new Set<EventSink>();
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: OpenOptions) {
    this.#options = options;
    this.#surroundings = {
      cwd: resolve(options.cwd ?? '.'),
      confirm: options.confirm ?? refuse,
      isConfigGiven: options.config !== undefined,
    };
    if (options.onEvent !== undefined) this.#listeners.add(options.onEvent);
  }

  listen(listener: EventSink): Disposable {
    // One of its own, so that the same function can be registered twice.
    const own: EventSink = (event) => listener(event);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** One operation, from what the program asks for to its result. */
  async perform<Options, Request, Result extends object>(
    load: LoadOperation<Options, Request, Result>,
    options: Options,
    { signal, onEvent, asOf }: ReadOptions = {},
  ): Promise<Result> {
    const signals = [this.#closing.signal, this.#options.signal, signal].filter((each) => each !== undefined);
    const any = AbortSignal.any(signals);
    any.throwIfAborted();
    const emit: EventSink = (event) => {
      for (const listener of onEvent === undefined ? this.#listeners : [...this.#listeners, onEvent]) {
        tell(listener, event);
      }
    };
    const work = (async () => {
      const operation = await load();
      const request = operation.complete(options, this.#surroundings);
      const loaded = await this.load(operation.need(request), any).catch(async (error: unknown) => {
        const { command, commandWithin = command } = operation;
        if (commandWithin === undefined || any.aborted) throw error;
        const { tellUnloaded } = await import('./operations/notify/unloaded.ts');
        await tellUnloaded(commandWithin, request, error, async () => this.load({}), emit);
        throw error;
      });
      return perform(operation, { ...loaded, asOfMs: asOf?.getTime() }, request, { signal: any, emit });
    })();
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  async load(need: SecretNeeds, signal?: AbortSignal): Promise<LoadedConfig> {
    const { config, env = processEnvironment(), stateDir } = this.#options;
    return loadConfig({
      cwd: this.#surroundings.cwd,
      env,
      need,
      ...(typeof config === 'string' ? { configPath: config } : {}),
      ...(typeof config === 'object' ? { document: config } : {}),
      overrides: stateDir === undefined ? [] : [{ path: 'stateDir', value: stateDir, origin: 'stateDir' }],
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new LifeboatError('usage', 'this Lifeboat was closed'));
    await Promise.allSettled(this.#running);
  }
}

/** As an emitter of the platform does: a faulty listener is a bug of its own, and no reason to lose a backup. */
function tell(listener: EventSink, event: LifeboatEvent): void {
  try {
    listener(event);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

const refuse: Confirm = async ({ name, consequences }) => {
  throw new LifeboatError('confirmation', `confirmation is needed: ${consequences.join('; ')}`, {
    state: 'nothing was changed',
    hint: `allow it by the option "confirm", which is asked for "${name}"`,
  });
};
