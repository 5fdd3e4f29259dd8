/** The sealed facts of a backup: one entry a component, each checked against the schema of its source. */
import { z } from 'zod';
import { LifeboatError } from '../lib/errors.ts';
import { faultIn } from '../config/schema-words.ts';
import { readFacts } from '../repository/backups/facts.ts';
import type { Manifest, ManifestComponent } from '../repository/manifests/manifest.ts';
import type { Repository } from '../repository/repository.ts';
import type { Json } from '../source/source.ts';

/** What readFacts gives. */
export const documentSchema = z.strictObject({
  format: z.literal(1),
  components: z.array(z.strictObject({ name: z.string(), kind: z.string(), facts: z.json() })),
});

/**
 * The entry beside the components' that holds the runbook. No manifest names such a component, so whoever looks for
 * components' facts passes it by.
 */
const runbookEntry = { name: 'runbook', kind: 'runbook' } as const;

/**
 * What a backup writes: its components' facts, and the runbook of its day, so that it is at hand wherever the backup
 * is.
 */
export function factsDocument(
  components: readonly { readonly name: string; readonly kind: string; readonly facts: Json }[],
  runbook: string | undefined,
): Json {
  return {
    format: 1,
    components: [...components, ...(runbook === undefined ? [] : [{ ...runbookEntry, facts: { text: runbook } }])].map(
      ({ name, kind, facts }) => ({ name, kind, facts }),
    ),
  };
}

/** The runbook that a backup holds. Undefined: it was taken before backups held one. */
export async function readRunbook(repository: Repository, manifest: Manifest): Promise<string | undefined> {
  const entry = z
    .object({ text: z.string() })
    .safeParse((await readComponentFacts(repository, manifest)).get(runbookEntry.name));
  return entry.success ? entry.data.text : undefined;
}

/**
 * Facts by component name. Throws `integrity` when they are not what a backup writes, `key` when they cannot be opened.
 */
export async function readComponentFacts(
  repository: Repository,
  manifest: Manifest,
): Promise<ReadonlyMap<string, Json>> {
  const parsed = documentSchema.safeParse(await readFacts(repository, manifest));
  if (!parsed.success) throw notFacts(manifest.id, parsed.error);
  return new Map(parsed.data.components.map(({ name, facts }) => [name, facts]));
}

/** The facts of one component in the shape of its source. */
export function factsOf<T>(
  schema: z.ZodType<T>,
  facts: ReadonlyMap<string, Json>,
  component: ManifestComponent,
  backupId: string,
): T {
  const parsed = schema.safeParse(facts.get(component.name));
  if (!parsed.success) throw notFacts(backupId, parsed.error);
  return parsed.data;
}

function notFacts(backupId: string, error: z.ZodError): LifeboatError {
  const why = `they are not of a shape that this version knows: ${faultIn(error)}`;
  return new LifeboatError('integrity', `the facts of backup ${backupId} cannot be read: ${why}`, {
    hint: 'was it written by a newer lifeboat? lifeboat show tells which',
  });
}
