/**
 * The worker of a simulated daemon (schedule-daemons.ts): does what a daemon's worker does, with real backups, but its
 * clock shows what it is told. It stays for the next task until it is killed.
 */
import { mock } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import type { WorkerTask } from '../../../src/operations/daemon/messages.ts';
import { work } from '../../../src/operations/daemon/work.ts';

export interface SimulatedTask {
  readonly task: WorkerTask;
  /** What the clock of this host shows, milliseconds since 1970. */
  readonly wallMs: number;
  readonly document: Readonly<Record<string, unknown>>;
  readonly cwd: string;
}

mock.timers.enable({ apis: ['Date'] });
process.on('message', ({ task, wallMs, document, cwd }: SimulatedTask) => {
  mock.timers.setTime(wallMs);
  const tell = (message: object): void => void process.send?.(message);
  const load = async (need: object) => loadConfig({ cwd, env: {}, document, need });
  void work(task, load, { signal: new AbortController().signal, emit: () => {}, tell });
});
process.send?.({ type: 'ready' });
