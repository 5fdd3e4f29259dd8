/**
 * What the replica trick changes on its target, noted in the state folder while it lasts. A restore that
 * is killed in the middle leaves the target a read-only replica of a scratch server that is gone; the next
 * restore from this host finds the note and puts the target right first.
 */
import { removeFile } from '../../lib/held-files.ts';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { readAtMost } from '../../lib/bounded-read.ts';
import type { RunContext } from '../../lib/events.ts';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { fileError, stateFolderHint, tellingFileErrors } from '../../lib/file-errors.ts';
import { ensureFolder, writeFileAtomic } from '../../lib/fs.ts';
import { parseJson } from '../../lib/json.ts';
import { faultIn } from '../../config/schema-words.ts';
import { withRedis } from './connection.ts';
import type { RedisEndpoint } from './endpoint.ts';
import { readConfig, readInfo } from './server-info.ts';

/** What a restore by replication changes, and nothing else is put back by a note. */
export const changedSettings = ['masteruser', 'masterauth', 'tls-replication', 'replica-read-only'] as const;

const maxNoteBytes = 64 * 1024;

const noteSchema = z.strictObject({
  endpoint: z.string(),
  /** The scratch server, as the target was told. */
  master: z.strictObject({ host: z.string(), port: z.string() }),
  settings: z.array(z.strictObject({ name: z.enum(changedSettings), before: z.string(), during: z.string() })),
});

export type TargetNote = z.infer<typeof noteSchema>;

/** Before anything is changed. The file (0600) may hold the target's own masterauth. */
export async function writeTargetNote(folder: string, note: TargetNote): Promise<void> {
  await tellingFileErrors(`cannot write to ${folder}`, { hint: stateFolderHint }, async () => {
    await ensureFolder(folder);
    await writeFileAtomic(pathOf(folder, note.endpoint), JSON.stringify(note));
  });
}

/** Once the target is a primary again, with its own settings. */
export async function removeTargetNote(folder: string, endpoint: string): Promise<void> {
  const path = pathOf(folder, endpoint);
  await tellingFileErrors(`cannot remove ${path}`, { hint: stateFolderHint }, async () => removeFile(path));
}

/**
 * Puts a target right that a killed restore has left; does nothing without a note. What others changed since is left
 * alone.
 */
export async function recoverTarget(folder: string, endpoint: RedisEndpoint, context: RunContext): Promise<void> {
  const note = await readNote(folder, endpoint.text);
  if (note === undefined) return;
  await withRedis(endpoint, context.signal, async (target) => {
    const info = await readInfo(target, 'replication');
    const isOurs =
      info.get('role') === 'slave' &&
      info.get('master_host') === note.master.host &&
      info.get('master_port') === note.master.port;
    if (isOurs) await target.call('REPLICAOF', 'NO', 'ONE');
    for (const { name, before, during } of note.settings) {
      if ((await readConfig(target, name)) === during) await target.call('CONFIG', 'SET', name, before);
    }
    if (isOurs) {
      context.emit({
        type: 'step',
        component: 'redis',
        message:
          `Redis at ${endpoint.text} is a primary again: a killed ` +
          'restore had left it a replica of its scratch server',
      });
    }
  });
  await removeTargetNote(folder, endpoint.text);
}

async function readNote(folder: string, endpoint: string): Promise<TargetNote | undefined> {
  const path = pathOf(folder, endpoint);
  let text: string;
  try {
    text = String(await readAtMost(path, maxNoteBytes));
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw fileError(error, `cannot read ${path}`, { hint: stateFolderHint });
  }
  const parsed = noteSchema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  throw new LifeboatError(
    'integrity',
    `cannot read what a restore into Redis at ${endpoint} noted before it was killed: ${faultIn(parsed.error)}`,
    {
      state: 'nothing was changed',
      hint: `see that it is a primary (INFO replication), then remove the note: rm ${pathOf(folder, endpoint)}`,
    },
  );
}

function jsonOf(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function pathOf(folder: string, endpoint: string): string {
  return join(folder, `${createHash('sha256').update(endpoint).digest('hex').slice(0, 32)}.json`);
}
