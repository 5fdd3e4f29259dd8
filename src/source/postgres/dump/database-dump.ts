/**
 * One database's part of a logical backup. From the moment it is opened it holds a snapshot, and all locks that it will
 * need (gather.ts); it lets go when every archive has been written and all facts are read, or at once when it is
 * abandoned. If the session that holds the snapshot dies, the dump fails, even if each pg_dump ended well.
 */
import type { RunContext } from '../../../lib/events.ts';
import type { Artifact } from '../../source.ts';
import { artifactsOf } from './artifacts.ts';
import type { DatabaseFacts } from '../facts/facts.ts';
import { type Gathered, gather } from './gather.ts';
import { tellUncounted } from './uncounted.ts';
import type { DatabaseDumpOptions } from './request.ts';

export interface DatabaseDump {
  /** To be read in this order, as many side by side as there is room for; the next is asked for when there is. */
  readonly artifacts: AsyncIterable<Artifact>;
  /** Settles when every artifact's program has ended, the facts are read and nothing is held any more. */
  readonly facts: Promise<DatabaseFacts>;
  /** Tables whose rows are not in it. */
  readonly leftOut: readonly { readonly schema: string; readonly name: string }[];
  /** Ends programs and sessions; `facts` rejects with the reason. Resolves when they are gone. */
  abandon(reason: Error): Promise<void>;
}

/** Takes the snapshot and all locks, and begins to read facts. Throws `source` (13). */
export async function openDatabaseDump(options: DatabaseDumpOptions, context: RunContext): Promise<DatabaseDump> {
  const held = await gather(options, context);
  const { snapshot, pipes, signal, stop } = held;
  context.emit({ type: 'snapshot', component: 'postgres', database: options.database, snapshot: snapshot.name });
  const facts = finish(held, options, context);
  facts.catch(() => {});
  return {
    artifacts: artifactsOf(pipes, signal),
    facts,
    leftOut: held.parts.leftOut,
    abandon: async (reason) => {
      stop.abort(reason);
      await facts.catch(() => {});
    },
  };
}

async function finish(held: Gathered, options: DatabaseDumpOptions, context: RunContext): Promise<DatabaseFacts> {
  const { snapshot, relations, catalog, parts, counting, pipes, signal, stop } = held;
  try {
    // Whichever fails first ends the other; both are awaited, so that nothing runs on. Counts are read while the dumps
    // run: both read the same pages at about the same time.
    const work = [counting.count(), Promise.all(pipes.map(({ ended }) => ended))] as const;
    for (const each of work) each.catch((error: unknown) => stop.abort(error));
    const [rows] = await Promise.allSettled([...work, ...pipes.map(({ gone }) => gone)]);
    signal.throwIfAborted();
    if (rows.status === 'rejected') throw rows.reason;
    await snapshot.connection.query('COMMIT');
    const big = parts.tables.map(({ artifact, schema, name }) => ({ artifact, schema, name }));
    return {
      ...catalog,
      snapshot: {
        name: snapshot.name,
        ...(snapshot.lsn === undefined ? {} : { lsn: snapshot.lsn }),
        takenAt: snapshot.takenAt,
      },
      artifacts: { schema: parts.schema, data: parts.data, tables: big },
      ...rows.value,
      ...leftOutOf(parts),
      ...trustedBy(options),
      ...tellUncounted(relations, rows.value.tables, options.database, context),
    };
  } finally {
    await held.close();
    context.emit({ type: 'snapshot-end', component: 'postgres', database: options.database, snapshot: snapshot.name });
  }
}

function leftOutOf({ leftOut }: Gathered['parts']): Pick<DatabaseFacts, 'withoutRows'> {
  return leftOut.length === 0 ? {} : { withoutRows: leftOut.map(({ schema, name }) => ({ schema, name })) };
}

function trustedBy({ trustedExtensions = [] }: DatabaseDumpOptions): Pick<DatabaseFacts, 'trustedExtensions'> {
  return trustedExtensions.length === 0 ? {} : { trustedExtensions: [...trustedExtensions] };
}
