/**
 * A plan for four eyes: one makes it, another looks at it and applies it. The file is sealed like a record of the
 * repository, and what it says is looked at again before it is carried out.
 */
import { writeNewFile } from '../../lib/held-files.ts';
import { z } from 'zod';
import { readAtMost } from '../../lib/bounded-read.ts';
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import { tellingFileErrors } from '../../lib/file-errors.ts';
import type { Keyring } from '../../repository/keys/keyring.ts';
import { openRecord, sealRecord } from '../../repository/keys/sealed-records.ts';
import type { Manifest } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';
import type { EmergencyPlan } from './plan.ts';

/** Hundreds of databases and folders fit into it. */
const maxPlanBytes = 4 * 1024 * 1024;
/** So much of what a file says stands in a message. */
const maxShownChars = 500;

const text = z.string().max(4096);
const texts = z.array(text).max(10_000);

/** What of a plan is held against the one that is made now. */
const planSchema = z.object({
  id: text,
  seal: text,
  target: text,
  host: text,
  components: z.array(z.enum(['database', 'redis', 'files', 'base'])).max(10),
  isNewest: z.boolean(),
  forced: z.boolean(),
  safetyBackup: z.boolean(),
  mismatches: texts,
  steps: z.array(z.object({ name: text, title: text })).max(100),
  live: z
    .array(
      z.object({ component: text, where: text, systemIdentifier: text.optional(), hasData: z.boolean(), holds: text }),
    )
    .max(100),
});
export type PlanInFile = z.infer<typeof planSchema>;

/** What a plan is sealed as: the name of no object. */
const planName = 'emergency-plan';

/**
 * Writes a new file (0600). Throws `usage` if there is one, or it cannot be written; `space` where there is no room.
 */
export async function writePlan(
  repository: Repository,
  manifest: Manifest,
  plan: EmergencyPlan,
  file: string,
): Promise<void> {
  const key = { dataKey: await repository.dataKeyOf(manifest), signer: await repository.keyring?.signer() };
  const sealed = sealRecord(planName, { repository: repository.repositoryId, plan }, key);
  const details = { state: 'nothing was changed', hint: 'name another file with --plan-out' };
  await tellingFileErrors(`cannot write the plan to ${file}`, details, async () =>
    writeNewFile(file, sealed, { flush: true }),
  );
}

/** Throws `usage` if it cannot be read, `integrity` if it was changed or is of another repository. */
export async function readPlan(repository: Repository, file: string): Promise<PlanInFile> {
  const details = { state: 'nothing was changed' };
  const bytes = await tellingFileErrors(`cannot read the plan ${file}`, details, async () =>
    readAtMost(file, maxPlanBytes),
  );
  return parsePlan(bytes, repository.repositoryId, repository.keyring, file);
}

/** The same from its bytes; `file` is for messages. */
export async function parsePlan(
  bytes: Buffer,
  repositoryId: string,
  keyring: Keyring | undefined,
  file: string,
): Promise<PlanInFile> {
  const { members } = await openRecord(bytes, planName, keyring).catch((cause: unknown) => {
    throw new LifeboatError('integrity', `the plan ${file} is not what was written: ${messageOf(cause)}`, {
      state: 'nothing was changed',
      hint: 'make a new one: lifeboat emergency-restore restore --plan-out',
      cause,
    });
  });
  if (members['repository'] !== repositoryId) {
    throw new LifeboatError('integrity', `the plan ${file} is of another repository`, { state: 'nothing was changed' });
  }
  const parsed = planSchema.safeParse(members['plan']);
  if (parsed.success) return parsed.data;
  throw new LifeboatError('integrity', `the plan ${file} is not of a shape that this version knows`, {
    state: 'nothing was changed',
    hint: 'make a new one: lifeboat emergency-restore restore --plan-out',
  });
}

/** What is no longer as it was when the plan was made; empty if it can be carried out. */
export function changesSince(before: PlanInFile, now: EmergencyPlan): string[] {
  const changes: string[] = [];
  const compare = (what: string, was: unknown, is: unknown): void => {
    if (JSON.stringify(was) !== JSON.stringify(is)) {
      changes.push(`${what} was ${shown(was)}, now it is ${shown(is)}`);
    }
  };
  compare('the backup', [before.id, before.seal], [now.id, now.seal]);
  compare('the target', before.target, now.target);
  compare('the host', before.host, now.host);
  compare('what is restored', before.components, now.components);
  compare('what is to be done', before.steps, now.steps);
  compare('why it may be the wrong place', before.mismatches, now.mismatches);
  for (const live of before.live) {
    const found = now.live.find(({ component }) => component === live.component);
    const place = (each: PlanInFile['live'][number] | undefined): unknown => [
      each?.where,
      each?.systemIdentifier ?? null,
      each?.hasData,
      each?.component === 'database' ? each.holds : null,
    ];
    compare(`${live.component} there`, place(live), place(found));
  }
  return changes;
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, maxShownChars);
}
