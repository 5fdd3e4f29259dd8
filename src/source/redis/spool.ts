/**
 * A snapshot by replication into a local file: received by ourselves, and by redis-cli where the server cuts that off
 * before it begins. To a file and not straight to the repository, since the server cuts a replica that stalls.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { removeFile } from '../../lib/held-files.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { CutOffError } from './replication-errors.ts';
import { snapshotByCli } from './snapshot-by-cli.ts';
import { receiveSnapshot, type SnapshotPlace } from './snapshot-stream.ts';

/**
 * Writes a snapshot. `onBytes` hears of its growth. Throws a ReplicationRefusedError where only a scan may do, and
 * LifeboatError: source, space.
 */
export async function spoolSnapshot(
  endpoint: RedisEndpoint,
  place: SnapshotPlace,
  context: RunContext,
  onBytes: (bytes: number) => void = () => {},
): Promise<void> {
  try {
    return await receiveSnapshot(endpoint, place, context, onBytes);
  } catch (error) {
    if (!(error instanceof CutOffError)) throw error;
    context.emit({ type: 'step', component: 'redis', message: `${error.message}; asking for it by redis-cli` });
    await removeFile(place.path);
    return snapshotByCli(endpoint, place, context, onBytes).catch((second: unknown) => {
      // Without redis-cli it stays at that.
      throw second instanceof LifeboatError && second.code === 'tool' ? error : second;
    });
  }
}
