/** What a backup recorded of its sources, as tables for people; programs take the whole of it from --json. */
import type { Json } from '../../source/source.ts';
import { baseFacts } from '../../source/postgres/base/facts.ts';
import { postgresFacts } from '../../source/postgres/facts/facts.ts';
import { filesFacts } from '../../source/files/facts.ts';
import { redisFacts } from '../../source/redis/facts.ts';
import { baseText } from './base-text.ts';
import { filesText } from './files-text.ts';
import { postgresText } from './postgres-text.ts';
import { redisText } from './redis-text.ts';

/** One component with what it recorded. */
export interface RecordedFacts {
  readonly name: string;
  /** SourceKind; one that a newer version writes may be another. */
  readonly kind: string;
  readonly facts: Json;
}

/** A heading and the tables below it. Facts of a shape that this version does not know are said to be so. */
export async function factsText({ name, kind, facts }: RecordedFacts): Promise<string> {
  const text = await knownText(kind, facts);
  return text === undefined
    ? `${name}: recorded in a form that this version cannot show as a table: lifeboat show --json has it`
    : `${name}: ${text}`;
}

async function knownText(kind: string, facts: Json): Promise<string | undefined> {
  const postgres = kind === 'postgres' ? postgresFacts.safeParse(facts).data : undefined;
  if (postgres !== undefined) return postgresText(postgres);
  const base = kind === 'base' ? baseFacts.safeParse(facts).data : undefined;
  if (base !== undefined) return baseText(base);
  const redis = kind === 'redis' ? redisFacts.safeParse(facts).data : undefined;
  if (redis !== undefined) return redisText(redis);
  const files = kind === 'files' ? filesFacts.safeParse(facts).data : undefined;
  return files === undefined ? undefined : filesText(files);
}
