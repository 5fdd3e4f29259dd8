/**
 * Is what came back what was lost? Looked at without lifeboat: row counts and checksums by SQL, the
 * schema by pg_dump, Redis's own digest of all data, and every file's content, mode, owner and time.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { psql, redisCli, type Shop } from './sample.ts';
import { run, type Stage } from './stage.ts';

/** What there is, by name: "table customer" → "20000 rows, checksum 1b3f…". */
export type Likeness = ReadonlyMap<string, string>;

/** Looks at everything. */
export async function takeLikeness(stage: Stage, { postgres, redis, uploads }: Shop): Promise<Likeness> {
  const likeness = new Map<string, string>();
  const dump = await run(stage, join(postgres.binFolder, 'pg_dump'), ['--schema-only', 'shop'], { env: postgres.env });
  // Newer versions of pg_dump write \restrict with a random word.
  likeness.set('schema', `checksum ${sha256(dump.replaceAll(/^\\.*\n/gm, ''))}`);
  for (const table of ['customer', 'order']) {
    const [rows, checksum] = (
      await psql(
        stage,
        postgres,
        'shop',
        `SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY id)) FROM "${table}" t;`,
      )
    )
      .trim()
      .split('|');
    likeness.set(`table ${table}`, `${Number(rows).toLocaleString('en-US')} rows, checksum ${checksum}`);
  }
  const keys = Number(await redisCli(stage, redis, ['DBSIZE']));
  likeness.set(
    'redis',
    `${keys.toLocaleString('en-US')} keys, digest ${await redisCli(stage, redis, ['DEBUG', 'DIGEST'])}`,
  );
  const entries = describeTree(uploads);
  likeness.set('uploads', `${entries.length} files, folders and links, checksum ${sha256(entries.join('\n'))}`);
  return likeness;
}

/** Prints line by line whether both are equal; true if all of it is. */
export function compare(before: Likeness, after: Likeness, print: (line: string) => void): boolean {
  let equal = true;
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(name), after.get(name)];
    if (was === is) print(`  equal      ${name.padEnd(16)} ${is ?? ''}`);
    else {
      print(`  DIFFERENT  ${name.padEnd(16)} was: ${was ?? 'not there'}\n${' '.repeat(30)}is:  ${is ?? 'not there'}`);
    }
    equal &&= was === is;
  }
  return equal;
}

/** One line an entry, sorted: path, kind, mode, owner, time in milliseconds, content. */
function describeTree(root: string): string[] {
  return ['.', ...pathsIn(root, '')].map((path) => {
    const at = join(root, path);
    const found = lstatSync(at);
    const content = found.isFile() ? sha256(readFileSync(at)) : found.isSymbolicLink() ? readlinkSync(at) : 'folder';
    return [path, found.mode.toString(8), found.uid, found.gid, Math.floor(found.mtimeMs), content].join('|');
  });
}

/** All paths below a folder, sorted; links are not followed. */
function pathsIn(root: string, folder: string): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true }).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [path, ...pathsIn(root, path)] : [path];
  });
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}
