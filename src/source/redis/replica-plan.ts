/**
 * Whether a target can be restored by replication, and how: by which redis-server of this host, and at which
 * address the target finds it.
 */
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { RunContext } from '../../lib/events.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { isLoopback } from './endpoint.ts';
import { rdbVersionOf, whyNotLoadable } from './rdb-versions.ts';
import type { ServerBinary } from './scratch-server.ts';
import { findServerBinaries } from './scratch-server.ts';
import type { TargetState } from './target.ts';

/** What plays the primary, and where. */
export interface ReplicaPlan {
  readonly binary: ServerBinary;
  /** Where the target finds the scratch server. */
  readonly address: string;
  readonly bind: string | undefined;
}

/** Can it be done, and how? A string says why not; changes nothing. */
export async function planReplica(
  endpoint: RedisEndpoint,
  state: TargetState,
  file: { version: number; valkey: boolean },
  replicaAddress: string | undefined,
  context: RunContext,
): Promise<ReplicaPlan | string> {
  if (!state.controllable) {
    return 'the target does not allow CONFIG and REPLICAOF (a managed server, or a user without the rights)';
  }
  if (state.sentinel) return 'a Sentinel watches the target and would take it for a failure';
  if (replicaAddress === undefined && !isLoopback(endpoint)) {
    return 'the target is on another host: name an address of this host that it can reach (--replica-address)';
  }
  const binaries = await findServerBinaries(context);
  if (binaries.length === 0) return 'no redis-server is installed here';
  const binary = binaries.find(
    ({ version }) =>
      whyNotLoadable(file, version) === undefined && whyNotLoadable(writtenBy(version), state.version) === undefined,
  );
  if (binary === undefined) {
    return (
      `no redis-server is installed here that reads RDB version ${file.version} and that ${state.version.text} can ` +
      'replicate from'
    );
  }
  return { binary, address: replicaAddress ?? '127.0.0.1', bind: bindFor(replicaAddress) };
}

function writtenBy(version: ServerBinary['version']): { version: number; valkey: boolean } {
  const rdb = rdbVersionOf(version);
  return { version: rdb, valkey: rdb >= 80 };
}

/** An address of this host is bound itself; behind a name or NAT it has to be all of them (the password guards it). */
function bindFor(replicaAddress: string | undefined): string | undefined {
  if (replicaAddress === undefined || replicaAddress === '127.0.0.1') return undefined;
  const own = Object.values(networkInterfaces())
    .flat()
    .some((each) => each?.address === replicaAddress);
  if (own) return replicaAddress;
  return isIP(replicaAddress) === 6 ? '::' : '0.0.0.0';
}
