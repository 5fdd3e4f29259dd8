import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { baseSource } from '../../src/source/postgres/base/source.ts';
import { startPostgres, type TestPostgres } from '../helpers/servers/postgres.ts';
import { killChildren, sourceContract, type SourceCase } from './source-suite.ts';

let server: TestPostgres;
const text = async (sql: string): Promise<string> => JSON.stringify(await server.query('postgres', sql));

const subject: SourceCase = {
  start: async () => {
    // Nothing is written but by us.
    server = await startPostgres({ settings: { autovacuum: 'off' } });
    await server.psql(
      'postgres',
      'CREATE TABLE t AS SELECT repeat(md5(g::text), 20) AS v FROM generate_series(1, 20000) g',
    );
  },
  stop: async () => server.stop(),
  open: (scratchDir) =>
    baseSource({ url: parsePostgresUrl(server.url()), scratchDir, hangTimeoutMs: 60_000, archiveTimeoutMs: 5000 }),
  state: async () =>
    text(
      'SELECT pg_snapshot_xmax(pg_current_snapshot()), (SELECT count(*) FROM pg_replication_slots), ' +
        "(SELECT md5(string_agg(s::text, E'\\n' ORDER BY name)) FROM pg_settings s)",
    ),
  held: async () => {
    const others =
      "SELECT 'session ' || application_name AS name FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND " +
      "backend_type IN ('client backend', 'walsender') UNION ALL SELECT slot_name FROM pg_replication_slots";
    return (await server.query('postgres', others)).map((row) => row['name']).join();
  },
  dying: async (scratchDir) => ({
    source: subject.open(scratchDir),
    strike: () => killChildren('pg_basebackup'),
    end: async () => {},
  }),
};

sourceContract('a cluster of PostgreSQL', subject);
