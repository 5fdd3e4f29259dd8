/**
 * What a backup of file trees records: roots, counts, and what was not as it should be. Sealed with the
 * backup; a restore is compared with it.
 */
import { z } from 'zod';

const count = z.number().int().nonnegative();

/** Paths that something happened to: how many, and the first of them in readable form. */
const pathList = z.strictObject({ count, paths: z.array(z.string()).max(1000) });

const rootFacts = z.strictObject({
  /** As configured, absolute. */
  path: z.string(),
  /** Its name in the tar: the path without the leading slash. */
  member: z.string(),
  /** Where a root that is a symlink led to. */
  realPath: z.string().optional(),
});

export const filesFacts = z.strictObject({
  roots: z.array(rootFacts),
  files: count,
  folders: count,
  symlinks: count,
  hardlinks: count,
  devices: count,
  sparseFiles: count,
  /** Bytes of content of all files; a file with several names counts once. */
  contentBytes: count,
  tarBytes: count,
  catalogBytes: count,
  /** SHA-256 of files.catalog: equal for two backups of trees that are equal in all that is kept. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  /** Stored, but changed while being read. */
  changed: pathList,
  /** Not stored: gone before they were read. */
  vanished: pathList,
  /** Not stored (of folders: the content is not), for want of rights or because of a read error. */
  unreadable: pathList,
  /** Not stored: sockets and pipes. */
  unsupported: pathList,
  /** Stored once for each name instead of as hard links: there were too many to remember. */
  unlinked: pathList,
});

export type FilesFacts = z.infer<typeof filesFacts>;
export type RootFacts = z.infer<typeof rootFacts>;
