/**
 * A backup without replication (managed servers): all keys listed by SCAN, then read one by one by DUMP
 * and put together as an RDB file. Each key is read with its expiry in one transaction, but the file as
 * a whole is not of one moment; the facts say so.
 */
import { createFileAt, removeFile } from '../../lib/held-files.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { BulkConnection } from './bulk-connection.ts';
import type { RedisConnection } from './connection.ts';
import { connectRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { footerBytes, KeyDumper, OtherRdbVersionError } from './key-dumper.ts';
import { KeySpool } from './key-spool.ts';
import { listKeys } from './list-keys.ts';
import { rdbVersionOf } from './rdb-versions.ts';
import { auxOf, databaseOf, headerOf } from './rdb/writer.ts';
import { RdbFileWriter } from './rdb-file-writer.ts';
import { isRefusal } from './errors.ts';
import { readInfo, readKeyspace, versionFrom } from './server-info.ts';
import type { SnapshotLimit } from './snapshot-limit.ts';

export interface ScanResult {
  /** Keys that went away (or expired) between being listed and being read. */
  readonly vanishedKeys: number;
}

export interface ScanPlace {
  /** The file to make (0600); must not exist. */
  readonly path: string;
  /** Takes lists of keys meanwhile. */
  readonly folder: string;
  readonly limit: SnapshotLimit;
}

/** Writes an RDB file. Throws LifeboatError: source, space. */
export async function spoolByScan(
  endpoint: RedisEndpoint,
  { path, folder, limit }: ScanPlace,
  context: RunContext,
  onBytes: (bytes: number) => void = () => {},
): Promise<ScanResult> {
  const attempt = async (knownVersion?: number): Promise<ScanResult> => {
    await using connection = await connectRedis(endpoint, context.signal);
    await using bulk = await BulkConnection.open(endpoint, context.signal);
    await using file = await createFileAt(path);
    const out = new RdbFileWriter(file, onBytes, limit);
    const vanishedKeys = await writeAll({ connection, bulk, out, folder, limit, context }, knownVersion);
    await out.end();
    return { vanishedKeys };
  };
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof OtherRdbVersionError)) throw error;
    await removeFile(path);
    return attempt(error.found);
  }
}

interface Work {
  readonly connection: RedisConnection;
  readonly bulk: BulkConnection;
  readonly out: RdbFileWriter;
  readonly folder: string;
  readonly limit: SnapshotLimit;
  readonly context: RunContext;
}

/**
 * The file's version is that of the payloads: FUNCTION DUMP tells it, else the server's release, else the first payload
 * that differs.
 */
async function writeAll(
  { connection, bulk, out, folder, limit, context }: Work,
  knownVersion: number | undefined,
): Promise<number> {
  const info = await readInfo(connection, 'server');
  const server = versionFrom(info);
  const functions = await dumpFunctions(connection);
  const rdbVersion = knownVersion ?? functions?.readUInt16LE(functions.length - footerBytes) ?? rdbVersionOf(server);
  await out.write(headerOf(rdbVersion));
  await out.write(auxOf(server.flavour === 'valkey' ? 'valkey-ver' : 'redis-ver', server.version));
  await out.write(auxOf('redis-bits', info.get('arch_bits') ?? '64'));
  await out.write(auxOf('ctime', String(Math.floor(Date.now() / 1000))));
  if (functions !== undefined) await out.write(functions.subarray(0, -footerBytes));
  const dumper = new KeyDumper({ bulk, out, rdbVersion, hasExpireTime: server.major >= 7 });
  for (const [db, counts] of [...(await readKeyspace(connection))].sort(([a], [b]) => a - b)) {
    // Database 0 is selected already; a user may lack the right to SELECT.
    if (db !== 0) {
      await connection.call('SELECT', db);
      await bulk.expectOk('SELECT', String(db));
    }
    const keys = new KeySpool(folder, String(db));
    await listKeys(connection, keys, { expectedKeys: counts.keys, maxBytes: limit.bytes }, context);
    await out.write(databaseOf(db, counts.keys, counts.expires));
    for await (const partition of keys.partitions()) {
      context.signal.throwIfAborted();
      await dumper.dump(partition);
    }
  }
  return dumper.vanished;
}

/**
 * FUNCTION DUMP: libraries as they stand in an RDB, then version and checksum; undefined before 7.0 or where it is not
 * allowed.
 */
async function dumpFunctions(connection: RedisConnection): Promise<Buffer | undefined> {
  try {
    const reply = await connection.callBuffer('FUNCTION', 'DUMP');
    return reply instanceof Buffer && reply.length > 10 ? reply : undefined;
  } catch (error) {
    if (error instanceof LifeboatError && isRefusal(error.cause)) return undefined;
    throw error;
  }
}
