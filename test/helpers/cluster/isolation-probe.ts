/**
 * A program of its own: starts a throwaway server in the isolation that is named, has a shell in it (as a superuser's
 * function would) try what LIFEBOAT_PROBE holds, and prints each thing that it could do as a line.
 */
import { chooseIsolation } from '../../../src/lib/isolation.ts';
import { startScratchCluster } from '../../../src/source/postgres/cluster/scratch-cluster.ts';
import { findScratchPlace } from '../../../src/source/postgres/cluster/scratch-place.ts';
import { withConnection } from '../../../src/source/postgres/server/connection.ts';
import { collectingContext } from '../servers/redis.ts';

const [kind = '', probe = ''] = process.argv.slice(2);
const context = collectingContext();
const isolation = await chooseIsolation({
  isolation: kind === 'none' ? 'none' : 'auto',
  user: kind === 'auto' ? undefined : kind,
});
await using cluster = await startScratchCluster(await findScratchPlace(15), isolation, context);
const rows = await withConnection(cluster.url, {}, async (client) => {
  await client.query('CREATE TABLE public.seen (line text)');
  await client.query(`COPY public.seen FROM PROGRAM '${probe.replaceAll("'", "''")}'`);
  return client.query('SELECT line FROM public.seen');
});
console.log([isolation.kind, ...rows.map(({ line }) => line)].join('\n'));
