/** lifeboat daemon */
import { Option, type Command } from 'commander';
import { programPath } from '../lib/program-path.ts';
import { onDaemonSignals, withSignals } from '../lib/signals.ts';
import { AbortedError, LifeboatError } from '../lib/errors.ts';
import type { EventSink } from '../lib/events.ts';
import type { DaemonConfig, DaemonRequest } from '../operations/daemon/daemon.ts';
import type { WorkerMessage } from '../operations/daemon/messages.ts';
import { jsonLogSink, logSink, type LogLevel } from '../report/log.ts';
import { write } from '../ui/terminal.ts';
import { oneOf, secondsText, timeSpan } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

const logFormats = ['text', 'json'] as const;

interface DaemonFlags {
  readonly grace: number;
  readonly logFormat?: (typeof logFormats)[number];
  readonly listen?: string;
  readonly listenAnywhere?: boolean;
  readonly worker?: string;
}

const defaultGraceMs = 30_000;

export function declare(command: Command, session: Session): void {
  command
    .addOption(
      new Option('--grace <duration>', 'so long may what runs go on after SIGTERM or SIGINT, before it is ended too')
        .argParser(timeSpan(0))
        .default(defaultGraceMs, secondsText(defaultGraceMs)),
    )
    .addOption(
      new Option('--log-format <format>', 'text or json; default: logFormat, else text on a terminal only').argParser(
        oneOf(logFormats),
      ),
    )
    .option('--listen <address>', 'answer /healthz, /readyz and /metrics: 127.0.0.1:9187, or the path of a socket')
    .option('--listen-anywhere', 'let --listen be an address that others reach, too: nobody is asked for a password')
    // How the daemon starts its own workers.
    .addOption(new Option('--worker <name>').hideHelp())
    .action(async (flags: DaemonFlags) => (flags.worker === undefined ? run(session, flags) : runWorker(session)));
}

async function run(session: Session, flags: DaemonFlags): Promise<void> {
  const { io } = session;
  const { config: configPath, envFile, quiet, debug, target } = session.flags;
  if (target !== undefined) {
    throw new LifeboatError('usage', 'the daemon runs the schedules of all targets: leave --target out', {
      hint: 'a schedule names its target itself: "options": {"target": "…"}',
    });
  }
  const read = async (): Promise<DaemonConfig> => {
    const { loadConfig } = await import('../config/load.ts');
    const texts = new Map<string, string>();
    const loaded = await loadConfig({ cwd: io.cwd, env: io.env, configPath, envFile, need: {}, texts });
    return { loaded, texts: [...texts] };
  };
  const first = await read();
  const { logFormat = io.stderr.isTTY === true ? 'text' : 'json', logLevel } = first.loaded.config;
  const level: LogLevel = debug === true ? 'debug' : quiet === true ? 'warn' : logLevel;
  const sink = (flags.logFormat ?? logFormat) === 'json' ? jsonLogSink : logSink;
  // A log that cannot be written, on a full disk, is no reason to stop.
  const emit = sink((line) => void write(io.stderr, `${line}\n`).catch(() => {}), level);
  for (const message of first.loaded.warnings) emit({ type: 'warning', message });
  const { Daemon } = await import('../operations/daemon/daemon.ts');
  const { listen, parseListenAddress } = await import('../lib/loopback-server.ts');
  const { daemonAnswers } = await import('../operations/daemon/answers.ts');
  const address =
    flags.listen === undefined ? undefined : parseListenAddress(flags.listen, flags.listenAnywhere === true);
  const daemon = new Daemon({
    first,
    load: read,
    envFile,
    program: await workerProgram(session),
    graceMs: flags.grace,
    emit,
    service: await serviceManager(session, emit),
  });
  using _ = onDaemonSignals({ stop: () => daemon.stop(), reload: () => daemon.reload() });
  await using _server =
    address &&
    (await listen(
      address,
      daemonAnswers(
        () => daemon.facts(),
        async () => daemon.channels(),
      ),
    ));
  await daemon.run();
}

async function workerProgram({ io }: Session): Promise<DaemonRequest['program']> {
  const { serviceVariables } = await import('../operations/daemon/service-manager.ts');
  const env = Object.entries(io.env).flatMap(([name, value]): [string, string][] =>
    value === undefined || serviceVariables.includes(name) ? [] : [[name, value]],
  );
  return { file: programPath, env: Object.fromEntries(env), cwd: io.cwd };
}

async function serviceManager({ io }: Session, emit: EventSink): Promise<DaemonRequest['service']> {
  const { nobody, serviceEnvironment, Systemd } = await import('../operations/daemon/service-manager.ts');
  const { socket, watchdogMs } = serviceEnvironment(io.env);
  return socket === undefined ? nobody : new Systemd({ socket, watchdogMs }, emit);
}

/** Does what the daemon orders on standard input, and ends in good order where the daemon is gone. */
async function runWorker({ io }: Session): Promise<void> {
  const [{ readOrder }, { work }, { loadConfig }] = await Promise.all([
    import('../operations/daemon/order.ts'),
    import('../operations/daemon/work.ts'),
    import('../config/load.ts'),
  ]);
  const tell = (message: WorkerMessage): void => void write(io.stdout, `${JSON.stringify(message)}\n`).catch(() => {});
  const gone = new AbortController();
  try {
    const order = await readOrder(io.stdin, () => gone.abort(new AbortedError('SIGTERM')));
    await withSignals(async (fromSignals) => {
      const signal = AbortSignal.any([fromSignals, gone.signal]);
      const { task, file: configPath, envFile } = order;
      const given = { configPath, envFile, document: configPath === undefined ? {} : undefined };
      await work(
        task,
        async (need) => loadConfig({ cwd: io.cwd, env: io.env, ...given, texts: new Map(order.texts), need, signal }),
        { signal, tell, emit: (event) => tell({ type: 'event', event }) },
      );
    });
  } finally {
    io.stdin.destroy();
  }
}
