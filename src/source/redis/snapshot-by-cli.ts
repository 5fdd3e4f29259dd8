/**
 * A snapshot by `redis-cli --rdb`, which acts as a replica too: where the server cuts our own handshake. It outlives a
 * kill -9 of this process, so it is written down.
 */
import { createFileAt } from '../../lib/held-files.ts';
import { stat } from 'node:fs/promises';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { startTool, ToolError } from '../../lib/exec.ts';
import { rememberProcess } from '../../lib/leftovers.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { redisCliArguments, redisCliEnvironment } from './endpoint.ts';
import { movedBytes } from './protocol.ts';
import { cutOff, failedSnapshot, hungSnapshot, noRoomForSnapshot, refusedSync } from './replication-errors.ts';
import { defaultHangTimeoutMs, type SnapshotPlace } from './snapshot-stream.ts';

/** What redis-cli may take: it collects whatever a server answers it, and needs some MiB. */
const memoryBytes = 512 * 1024 * 1024;

/**
 * Writes a snapshot, by valkey-cli where redis-cli is not installed. `onBytes` hears of its growth. Throws
 * LifeboatError: source, space; tool where both are missing.
 */
export async function snapshotByCli(
  endpoint: RedisEndpoint,
  place: SnapshotPlace,
  context: RunContext,
  onBytes: (bytes: number) => void,
): Promise<void> {
  // Made beforehand: redis-cli would make it readable for all.
  await (await createFileAt(place.path)).close();
  try {
    return await snapshotBy('redis-cli', endpoint, place, context, onBytes);
  } catch (error) {
    if (!(error instanceof LifeboatError) || error.code !== 'tool') throw error;
    return snapshotBy('valkey-cli', endpoint, place, context, onBytes);
  }
}

/** Both take the same arguments, and the password from the same variable. */
async function snapshotBy(
  file: 'redis-cli' | 'valkey-cli',
  endpoint: RedisEndpoint,
  { path, limit, hangTimeoutMs = defaultHangTimeoutMs }: SnapshotPlace,
  context: RunContext,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hung = new AbortController();
  const tool = await startTool({
    file,
    args: [...redisCliArguments(endpoint), '--rdb', path],
    env: redisCliEnvironment(endpoint),
    signal: AbortSignal.any([context.signal, hung.signal]),
    limits: { memoryBytes, fileBytes: limit.bytes },
  });
  using _ = rememberProcess(tool.pid);
  let [movedAt, movedSize] = [performance.now(), 0];
  const look = async (): Promise<void> => {
    const { size } = await stat(path);
    onBytes(size);
    if (size >= movedSize + movedBytes) [movedAt, movedSize] = [performance.now(), size];
    else if (performance.now() - movedAt > hangTimeoutMs) hung.abort(hungSnapshot(endpoint, hangTimeoutMs));
  };
  const watch = setInterval(() => void look().catch(() => {}), Math.min(1000, hangTimeoutMs / 2));
  try {
    await tool.result;
  } catch (error) {
    if (error instanceof ToolError && error.toolSignal === 'SIGXFSZ') throw limit.exceeded();
    throw error instanceof ToolError ? classified(error, endpoint) : error;
  } finally {
    clearInterval(watch);
  }
}

function classified(error: ToolError, endpoint: RedisEndpoint): LifeboatError {
  // redis-cli says "short write" where a disk fills up in the middle of a piece.
  if (/No space left|Disk quota|Error writing data to file: short write/i.test(error.stderr)) {
    return noRoomForSnapshot(error);
  }
  if (/Error reading bulk length/i.test(error.stderr)) return cutOff(endpoint, error);
  // Refused REPLCONFs are mentioned too, but harmless: what SYNC got decides.
  const reply = (
    /^(?:SYNC with master|AUTH) failed: *-?(.*)$/im.exec(error.stderr)?.[1] ??
    error.stderr.replaceAll(/^.*REPLCONF.*$/gim, '')
  ).trim();
  return refusedSync(reply, endpoint, error) ?? failedSnapshot(endpoint, error.message, error);
}
