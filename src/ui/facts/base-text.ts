/** A base backup: which cluster, which write-ahead log it needs, and what lies outside of its data directory. */
import { formatBytes } from '../../lib/units.ts';
import type { BaseFacts } from '../../source/postgres/base/facts.ts';
import { shownTime } from '../sizes.ts';
import { columns } from '../table.ts';
import { namedLines, paragraphs } from './lines.ts';

/** The line of the cluster, then what a recovery has to know. */
export async function baseText(facts: BaseFacts): Promise<string> {
  return paragraphs([
    `PostgreSQL ${facts.serverVersion}, by pg_basebackup ${facts.toolVersion}`,
    namedLines([
      ['system identifier', facts.systemIdentifier],
      ['timeline', String(facts.timeline)],
      ['WAL needed', `${facts.startLsn} to ${facts.stopLsn}, in segments of ${formatBytes(facts.walSegmentBytes)}`],
      ['taken (UTC)', `${shownTime(facts.startedAt)} to ${shownTime(facts.stoppedAt)}`],
      ['page checksums', facts.dataChecksums ? 'on, and checked' : 'off: damaged pages cannot be found'],
      ...damagedLines(facts),
      ['superuser', facts.superuser],
      ...Object.entries(facts.outsideFiles).map(([setting, path]): [string, string] => [
        setting,
        `${path} (outside of the data directory${facts.configuration === undefined ? ': not backed up' : ''})`,
      ]),
      ...configurationLines(facts),
    ]),
    await tablespacesTable(facts),
  ]);
}

/** A line for each damaged page that is known. */
function damagedLines({ damagedPages }: BaseFacts): [string, string][] {
  if (damagedPages === undefined) return [];
  const { count, named } = damagedPages;
  return [
    ['DAMAGED PAGES', String(count)],
    ...named.map(({ file, block }): [string, string] => [
      '',
      block === undefined ? `more in ${file}` : `${file} block ${block}`,
    ]),
  ];
}

function configurationLines({ configuration }: BaseFacts): [string, string][] {
  if (configuration === undefined) return [];
  const { files, lacks } = configuration;
  return [['configuration', `${files} files`], ...lacks.map((each): [string, string] => ['not backed up', each])];
}

async function tablespacesTable({ tablespaces }: BaseFacts): Promise<string> {
  if (tablespaces.length === 0) return '';
  return columns(
    ['TABLESPACE', 'OID', 'SIZE', 'PATH'],
    tablespaces.map(({ name, oid, bytes, path }) => [name, oid, `about ${formatBytes(bytes)}`, path]),
    [1, 2],
  );
}
