/**
 * Whether a swap was done whose COMMIT got no answer: the server may have committed before the connection was lost. A
 * rename leaves a database's oid alone, so the names that both bear now tell it, once the session that was to commit
 * is gone for good.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import { type Queries, withMaintenance } from '../server/maintenance.ts';

/** Names of the databases of a swap. */
export interface SwapNames {
  readonly live: string;
  readonly restored: string;
  /** What the live one is called afterwards. */
  readonly keptAs: string;
}

/** What is written down before a swap: which databases it is about, and which session does it. */
export interface SwapWitness extends SwapNames {
  readonly liveOid: string;
  readonly restoredOid: string;
  readonly pid: string;
  /** Seconds since 1970, as the server has it: process ids are used again. */
  readonly sessionStart: string;
}

/** So long a server is asked again that does not answer: it may be starting anew. */
const askForMs = 15_000;
const pauseMs = 250;

/** `client` is the session that will swap. */
export async function witnessSwap(client: Queries, names: SwapNames): Promise<SwapWitness> {
  const [row] = await client.query(
    `SELECT l.oid::text AS live,
      r.oid::text AS restored,
      s.pid::text AS pid,
      extract(epoch FROM s.backend_start)::text AS start
    FROM pg_database l, pg_database r, pg_stat_activity s
    WHERE l.datname = $1 AND r.datname = $2 AND s.pid = pg_backend_pid()`,
    [names.live, names.restored],
  );
  return {
    ...names,
    liveOid: row?.['live'] ?? '',
    restoredOid: row?.['restored'] ?? '',
    pid: row?.['pid'] ?? '',
    sessionStart: row?.['start'] ?? '',
  };
}

/**
 * Ends the session if it is still there, and looks. Undefined: the server did not answer, or the databases bear other
 * names. Not to be aborted: what was done has to be told.
 */
export async function outcomeOfSwap(
  url: PostgresUrl,
  witness: SwapWitness,
): Promise<'swapped' | 'not-swapped' | undefined> {
  const { live, restored, keptAs } = witness;
  for (const giveUpAt = performance.now() + askForMs; performance.now() < giveUpAt; await sleep(pauseMs)) {
    const names = await withMaintenance({ url, except: [live, restored, keptAs] }, async (client) =>
      (await endSession(client, witness)) ? namesByOid(client, witness) : undefined,
    ).catch(() => undefined);
    if (names === undefined) continue;
    const [ofLive, ofRestored] = names;
    if (ofRestored === live && ofLive === keptAs) return 'swapped';
    return ofLive === live && ofRestored === restored ? 'not-swapped' : undefined;
  }
  return undefined;
}

/** True once it is gone: as long as it is there it may still commit. */
async function endSession(client: Queries, { pid, sessionStart }: SwapWitness): Promise<boolean> {
  const rows = await client.query(
    `SELECT pg_terminate_backend(pid)
    FROM pg_stat_activity
    WHERE pid = $1::int AND extract(epoch FROM backend_start)::text = $2`,
    [pid, sessionStart],
  );
  return rows.length === 0;
}

async function namesByOid(client: Queries, { liveOid, restoredOid }: SwapWitness): Promise<(string | undefined)[]> {
  const rows = await client.query('SELECT oid::text AS oid, datname AS name FROM pg_database WHERE oid IN ($1, $2)', [
    liveOid,
    restoredOid,
  ]);
  const nameOf = (oid: string): string | undefined => rows.find((row) => row['oid'] === oid)?.['name'] ?? undefined;
  return [nameOf(liveOid), nameOf(restoredOid)];
}
