/**
 * Manifests: the commit point of a backup. A backup exists if and only if its manifest does. What is
 * in here can be read without a key; everything that would tell of the content stands in the facts.
 * Schema: man lifeboat-repository(7), "Manifest".
 */
import { z } from 'zod';
import { uncompiled } from '../../config/uncompiled.ts';
import { faultIn } from '../../config/schema-words.ts';
import { backupIdPattern } from './ids.ts';
import { damaged } from '../box/seal.ts';
import { indexKey } from '../object-keys.ts';

const hex64 = z.string().regex(/^[0-9a-f]{64}$/);
const size = z.int().nonnegative();
const time = z.iso.datetime();
const artifactName = z.string().regex(/^(?!\.)[A-Za-z0-9._-]{1,100}$/);

const indexPartSchema = z.strictObject({
  object: z.string().max(400),
  bytes: size,
  sha256: hex64,
  chunks: size.max(250_000),
});

const artifactSchema = z.strictObject({
  name: artifactName,
  mediaType: z.string().min(1).max(200),
  bytes: size,
  chunks: size,
  index: z.array(indexPartSchema).min(1),
});

const componentSchema = z.strictObject({
  name: z.string().min(1).max(200),
  kind: z.enum(['postgres', 'base', 'redis', 'files']),
  serverVersion: z.string().max(200).optional(),
  startedAt: time,
  finishedAt: time,
  readBytes: size,
  newBytes: size,
  storedBytes: size,
  flaws: size.min(1).optional(),
  artifacts: z.array(artifactSchema),
});

export const manifestSchema = z.strictObject({
  format: z.literal(1),
  repository: z.uuid(),
  id: z.string().regex(backupIdPattern),
  target: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  type: z.enum(['full', 'database', 'redis', 'files', 'base']),
  label: z.string().max(1000).optional(),
  tags: z.array(z.string().min(1).max(200)).max(100).optional(),
  host: z.string().min(1).max(255),
  versions: z.record(z.string().max(100), z.string().max(200)),
  startedAt: time,
  finishedAt: time,
  warnings: size,
  previous: z.strictObject({ id: z.string().regex(backupIdPattern), seal: hex64 }).optional(),
  dataKey: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
  factsSha256: hex64,
  packsSha256: hex64,
  head: z.strictObject({ host: z.string().regex(/^[a-z0-9.-]{1,63}$/), number: size, seal: hex64 }).optional(),
  components: z.array(componentSchema).min(1),
});

/** All members of a manifest but "signature" and "seal". Times are RFC 3339 in UTC, sizes bytes. */
export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestComponent = z.infer<typeof componentSchema>;
export type ManifestArtifact = z.infer<typeof artifactSchema>;
export type ManifestIndexPart = z.infer<typeof indexPartSchema>;

/** What a backup fills in; the repository adds format, repository and dataKey. */
export type ManifestDraft = Omit<Manifest, 'format' | 'repository' | 'dataKey'>;

/** Manifests larger than this are neither written nor read. */
export const maxManifestBytes = 4 * 1024 * 1024;

/**
 * Checks the members of a sealed document that should be the manifest of `backupId` in `repositoryId`. Throws
 * LifeboatError `integrity`.
 */
export function parseManifest(
  members: Readonly<Record<string, unknown>>,
  backupId: string,
  repositoryId: string,
  object: string,
): Manifest {
  const { format } = members;
  if (typeof format === 'number' && format > 1) {
    throw damaged(object, `format ${format} is newer than this version of lifeboat knows`);
  }
  const parsed = manifestSchema.safeParse(members, uncompiled);
  if (!parsed.success) throw damaged(object, `it is not a manifest: ${faultIn(parsed.error)}`);
  const manifest = parsed.data;
  if (manifest.id !== backupId) throw damaged(object, `it is the manifest of ${manifest.id}`);
  if (manifest.repository !== repositoryId) {
    throw damaged(object, `it belongs to repository ${manifest.repository}, not to this one (${repositoryId})`);
  }
  const fault = inconsistency(manifest);
  if (fault !== undefined) throw damaged(object, fault);
  return manifest;
}

/** What a schema cannot say: parts have the names their artifact gives them, and sums are right. */
function inconsistency(manifest: Manifest): string | undefined {
  const names = new Set<string>();
  for (const artifact of manifest.components.flatMap((component) => component.artifacts)) {
    if (names.has(artifact.name)) return `it has two artifacts named ${artifact.name}`;
    names.add(artifact.name);
    let chunks = 0;
    for (const [k, part] of artifact.index.entries()) {
      if (part.object !== indexKey(manifest.id, artifact.name, k)) {
        return `index part ${k} of ${artifact.name} is named ${part.object}`;
      }
      chunks += part.chunks;
    }
    if (chunks !== artifact.chunks) return `the index parts of ${artifact.name} do not add up`;
  }
  return undefined;
}
