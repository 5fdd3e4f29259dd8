/** Settings of each session that reads rows: the text of a value depends on nothing else. */
import type { Connection } from '../server/connection.ts';
import { quoteLiteral } from '../server/quote.ts';

/** Everything that the text of a value depends on, and no filter by row-level security (an error instead). */
export async function pinSettings(connection: Connection): Promise<void> {
  await connection.query(pinnedSettingsSql());
}

/** The same as statements, for a program's session. */
export function pinnedSettingsSql(): string {
  return Object.entries(pinned)
    .map(([name, value]) => `SET ${name} = ${quoteLiteral(value)}`)
    .join('; ');
}

const pinned: Readonly<Record<string, string>> = {
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
  xmlbinary: 'base64',
  lc_monetary: 'C',
  lc_numeric: 'C',
  lc_time: 'C',
  search_path: 'pg_catalog',
  row_security: 'off',
  // Costs more than it saves on sums of a few functions, and much for a first use.
  jit: 'off',
};
