/** lifeboat metrics */
import { Option, type Command } from 'commander';
import { withSignals } from '../lib/signals.ts';
import { write } from '../ui/terminal.ts';
import { secondsText, timeSpan } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly textfile?: string;
  readonly push?: boolean;
  readonly serve?: string;
  readonly listenAnywhere?: boolean;
  readonly every: number;
}

const defaultEveryMs = 300_000;

export function declare(command: Command, session: Session): void {
  command
    .option('--textfile <file>', "write them there, for node_exporter's textfile collector, and print nothing")
    .option('--push', 'send them where metrics.pushgateway, metrics.dogstatsd and metrics.otlp say, and print nothing')
    .addOption(
      new Option(
        '--serve <address>',
        'answer /metrics until stopped (SIGTERM, SIGINT): 127.0.0.1:9187, or the path of a socket',
      ).conflicts(['textfile', 'push']),
    )
    .option('--listen-anywhere', 'let --serve be an address that others reach, too: nobody is asked for a password')
    .addOption(
      new Option('--every <duration>', 'with --serve: how often to look at the repository anew')
        .argParser(timeSpan(1000))
        .default(defaultEveryMs, secondsText(defaultEveryMs)),
    )
    .action(async (flags: Flags) => (flags.serve === undefined ? once(session, flags) : serve(session, flags)));
}

async function once(session: Session, { textfile, push }: Flags): Promise<void> {
  await session.perform({
    operation: async () => (await import('../operations/metrics/metrics.ts')).metricsOperation,
    options: { textfile, push },
    view: async () => (await import('../ui/metrics-view.ts')).metricsView,
  });
}

async function serve(session: Session, { serve: given = '', listenAnywhere, every: everyMs }: Flags): Promise<void> {
  const { parseListenAddress } = await import('../lib/loopback-server.ts');
  const address = parseListenAddress(given, listenAnywhere === true);
  const { serveMetrics } = await import('../operations/metrics/serve.ts');
  const { surveyNeeds } = await import('../operations/complete.ts');
  const { jsonLogSink, logSink } = await import('../report/log.ts');
  await withSignals(async (signal) => {
    const loaded = await session.load(surveyNeeds, { signal });
    const { stderr } = session.io;
    const { logFormat } = loaded.config;
    const sink = logFormat === 'json' ? jsonLogSink : logSink;
    const emit = sink((line) => void write(stderr, `${line}\n`).catch(() => {}), 'warn');
    const onReady = (): void => {
      if (session.flags.quiet !== true) void write(stderr, `answers on ${given}\n`).catch(() => {});
    };
    await serveMetrics(loaded, { address, everyMs, onReady }, { signal, emit });
  });
}
