/** Redis: how its keys were read, how many each database has, and what they need. */
import type { RedisFacts } from '../../source/redis/facts.ts';
import { columns } from '../table.ts';
import { firstOf, grouped, namedLines, paragraphs } from './lines.ts';

const namesShown = 10;
const flavours = { redis: 'Redis', valkey: 'Valkey' } as const;

/** The line of the server, then the databases. */
export async function redisText(facts: RedisFacts): Promise<string> {
  return paragraphs([
    `${flavours[facts.flavour]} ${facts.serverVersion}`,
    await databasesTable(facts),
    namedLines([
      ['moment', momentText(facts)],
      ['vanished', facts.vanishedKeys === undefined ? '' : `${grouped(facts.vanishedKeys)} keys while they were read`],
      ['checked', facts.crc === 'verified' ? `checksum, ${facts.checkedBy}` : `${facts.checkedBy}; it has no checksum`],
      [
        'functions',
        firstOf(
          facts.functions.map(({ name }) => name),
          namesShown,
        ),
      ],
      ['modules', firstOf(facts.modules ?? [], namesShown)],
      [
        'ACL users',
        facts.aclUsers === undefined ? '' : `${grouped(facts.aclUsers.length)}, recorded without passwords`,
      ],
    ]),
  ]);
}

async function databasesTable({ databases }: RedisFacts): Promise<string> {
  if (databases.length === 0) return 'no keys';
  return columns(
    ['DB', 'KEYS', 'EXPIRING', 'BY TYPE'],
    databases.map(({ db, keys, expires, types }) => [
      String(db),
      grouped(keys),
      grouped(expires),
      // The order of a snapshot is that of its hash tables: another one each time.
      Object.entries(types)
        .toSorted(([aType, a], [bType, b]) => b - a || (aType < bType ? -1 : 1))
        .map(([type, count]) => `${grouped(count)} ${type}`)
        .join(', '),
    ]),
    [0, 1, 2],
  );
}

function momentText({ consistency, scanReason }: RedisFacts): string {
  if (consistency === 'snapshot') return 'a snapshot: all keys as of one moment';
  const why = scanReason === undefined ? '' : `: ${scanReason}`;
  return `read key by key while the server went on, not of one moment${why}`;
}
