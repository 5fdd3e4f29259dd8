/**
 * What people call the content of a damaged artifact: databases and tables, Redis databases, files. From the sealed
 * facts and, of files, from the catalog.
 */
import { messageOf } from '../../lib/errors.ts';
import type { EventSink } from '../../lib/events.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Json } from '../../source/source.ts';
import { factsOf, readComponentFacts } from '../backup-facts.ts';
import type { TouchedArtifact } from './request.ts';
import type { LostRange } from './damage.ts';
import type { OpenBackup } from './objects.ts';

const maxNamed = 100;

/** Names what is lost with these artifacts of one backup. Facts that cannot be read cost the names only. */
export async function nameContents(
  repository: Repository,
  backup: OpenBackup,
  lost: ReadonlyMap<string, readonly LostRange[] | 'all'>,
  emit: EventSink,
): Promise<TouchedArtifact[]> {
  const facts =
    lost.size === 0 ? undefined : await readComponentFacts(repository, backup.manifest).catch(() => undefined);
  const named: TouchedArtifact[] = [];
  for (const component of backup.manifest.components) {
    for (const { name } of component.artifacts) {
      const ranges = lost.get(name);
      if (ranges === undefined) continue;
      const contents =
        facts === undefined
          ? []
          : await contentsOf(repository, backup, component, name, ranges, facts).catch((error: unknown) => {
              emit({
                type: 'debug',
                message: `the contents of ${name} of ${backup.id} cannot be named: ${messageOf(error)}`,
              });
              return [];
            });
      named.push({
        component: component.name,
        name,
        contents: contents.slice(0, maxNamed),
        contentCount: contents.length,
      });
    }
  }
  return named;
}

async function contentsOf(
  repository: Repository,
  backup: OpenBackup,
  component: ManifestComponent,
  artifact: string,
  ranges: readonly LostRange[] | 'all',
  facts: ReadonlyMap<string, Json>,
): Promise<string[]> {
  if (component.kind === 'postgres') {
    const { postgresFacts } = await import('../../source/postgres/facts/facts.ts');
    return tablesIn(factsOf(postgresFacts, facts, component, backup.id), artifact);
  }
  if (component.kind === 'redis') {
    const { redisFacts } = await import('../../source/redis/facts.ts');
    return factsOf(redisFacts, facts, component, backup.id).databases.map(
      ({ db, keys }) => `database ${db} (${keys} keys)`,
    );
  }
  return component.kind === 'files' ? filesIn(repository, backup, component, artifact, ranges) : [];
}

type Facts = import('../../source/postgres/facts/facts.ts').PostgresFacts;

/** `database.schema.table`; of an archive that holds the definitions: the database. */
function tablesIn(facts: Facts, artifact: string): string[] {
  if (facts.globals?.artifact === artifact) return facts.globals.roles.map((role) => `role ${role}`);
  return facts.databases.flatMap(({ name, artifacts, tables }) => {
    if (artifacts.schema === artifact) return [`definitions of database ${name}`];
    const apart = artifacts.tables.find((table) => table.artifact === artifact);
    if (apart !== undefined) return [`${name}.${apart.schema}.${apart.name}`];
    if (artifacts.data !== artifact) return [];
    const others = new Set(artifacts.tables.map((table) => `${table.schema}.${table.name}`));
    return tables
      .filter(({ kind, schema, name: table }) => kind === 'r' && !others.has(`${schema}.${table}`))
      .map(({ schema, name: table }) => `${name}.${schema}.${table}`);
  });
}

/** Files whose header or content lies in what is lost; without the catalog nobody knows. */
async function filesIn(
  repository: Repository,
  backup: OpenBackup,
  component: ManifestComponent,
  artifact: string,
  ranges: readonly LostRange[] | 'all',
): Promise<string[]> {
  const [{ readCatalog }, { displayPath }, { catalogName, tarName }] = await Promise.all([
    import('../../source/files/catalog.ts'),
    import('../../source/files/names.ts'),
    import('../../source/files/source.ts'),
  ]);
  if (artifact !== tarName) return [];
  const reader = openArtifacts({
    storage: repository.storage,
    dataKey: backup.dataKey,
    artifacts: component.artifacts,
  });
  const found: string[] = [];
  for await (const { offset, endOffset, path } of readCatalog(reader.open(catalogName))) {
    if (ranges !== 'all' && !ranges.some(({ start, end }) => start < endOffset && end > offset)) continue;
    // What is over the hundred is counted only.
    found.push(found.length < maxNamed ? displayPath(Buffer.concat([Buffer.from('/'), path])) : '');
  }
  return found;
}
