/** What the servers whose log is archived say of it: status asks them in a moment, and works without their answer. */
import type { LoadedConfig } from '../../config/load.ts';
import type { RunContext } from '../../lib/events.ts';
import type { ArchiverState } from '../../source/postgres/server/archiver.ts';

/** A server that does not answer for so long is taken to be down. */
const answerWithinMs = 2500;

/** What one said. */
export interface AskedServer {
  readonly target: string;
  readonly state: ArchiverState;
}

/** Those that answer at once. A server that is down, or whose URL cannot be read, is not asked. */
export async function askServers({ config }: LoadedConfig, { signal, emit }: RunContext): Promise<AskedServer[]> {
  const asked = [...config.targets.values()].map(async ({ name: target, postgres }) => {
    if (postgres === undefined) return [];
    try {
      const { askArchiver } = await import('../../source/postgres/server/archiver.ts');
      const limit = AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]);
      return [{ target, state: await askArchiver(postgres.url, { signal: limit, connectTimeoutMs: answerWithinMs }) }];
    } catch (error) {
      signal.throwIfAborted();
      emit({
        type: 'debug',
        message:
          `the PostgreSQL of ${target} is not asked how far it is ahead: ` +
          (error instanceof Error ? error.message : String(error)),
      });
      return [];
    }
  });
  return (await Promise.all(asked)).flat();
}
