/**
 * Which backups this host has seen in a repository, `<state>/repositories/<id>/newest-<target>.json`: the newest of
 * each target, and so many before it. Each must be there until a record says that it was deleted, or an operator that
 * this is meant. Of older ones none needs to be remembered: a manifest names the one before it, so whoever takes away
 * an older one leaves one that names what is gone, or takes away one that is remembered.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { stateFolderHint, tellingFileErrors } from '../lib/file-errors.ts';
import { removeFile } from '../lib/held-files.ts';
import { readStateFile, writeStateFile } from './state-file.ts';

const seenBackupSchema = z.object({
  id: z.string(),
  seal: z.string().regex(/^[0-9a-f]{64}$/),
  startedAt: z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'it is not a time'),
});
/** Older versions know the newest only, and keep only that. */
const seenFileSchema = seenBackupSchema.extend({ before: z.array(seenBackupSchema).optional() });

/** A backup by id, seal (64 hex digits) and beginning (RFC 3339, UTC). */
export type SeenBackup = Readonly<z.infer<typeof seenBackupSchema>>;

/** A month of one each hour, and a year of one each day. */
export const mostSeen = 750;

const wayOut = 'if lifeboat list shows the backups that should be there, remove that file: it is made anew';

export class SeenBackups {
  readonly #folder: string;

  /** `stateDir` is absolute; folders are made (0700) when something is first kept. */
  constructor(stateDir: string, repositoryId: string) {
    this.#folder = join(stateDir, 'repositories', repositoryId);
  }

  /** Newest first. Throws `usage` where the state folder cannot be read, or the file is damaged. */
  async all(target: string): Promise<readonly SeenBackup[]> {
    const file = await readStateFile(this.#path(target), seenFileSchema, { hint: wayOut });
    if (file === undefined) return [];
    const { before = [], ...newest } = file;
    return [newest, ...before];
  }

  async newest(target: string): Promise<SeenBackup | undefined> {
    return (await this.all(target))[0];
  }

  /** Throws `usage` or `space` where the state folder cannot be written. */
  async remember(target: string, { id, seal, startedAt }: SeenBackup): Promise<void> {
    const others = (await this.all(target)).filter((each) => each.id !== id);
    const all = [{ id, seal, startedAt }, ...others];
    await this.#write(
      target,
      all.toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt)),
    );
  }

  /** What is accounted for. */
  async forget(target: string, ids: ReadonlySet<string>): Promise<void> {
    const known = await this.all(target);
    const left = known.filter(({ id }) => !ids.has(id));
    if (left.length < known.length) await this.#write(target, left);
  }

  async #write(target: string, [newest, ...before]: readonly SeenBackup[]): Promise<void> {
    const path = this.#path(target);
    if (newest !== undefined) return writeStateFile(path, { ...newest, before: before.slice(0, mostSeen - 1) });
    return tellingFileErrors('cannot write to the state folder', { hint: stateFolderHint }, async () =>
      removeFile(path),
    );
  }

  #path(target: string): string {
    return join(this.#folder, `newest-${target}.json`);
  }
}
