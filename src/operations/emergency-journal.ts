/** The journal of an emergency restore, on disk in the state folder: what was planned, which steps are done. It is written before and after each step, so that a run that was killed can be gone on with. */
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { LifeboatError, messageOf, systemCodeOf } from '../lib/errors.ts';
import { writeFileAtomic } from '../lib/fs.ts';
import type { EmergencyPlan, PlannedStep } from './emergency-plan.ts';

export interface JournalStep extends PlannedStep {
  state: 'pending' | 'running' | 'done' | 'skipped' | 'failed';
  /** RFC 3339, UTC. */
  startedAt?: string | undefined;
  finishedAt?: string | undefined;
  /** What came of it, one line each. */
  notes: string[];
}

export interface Journal {
  readonly version: 1;
  readonly plan: EmergencyPlan;
  readonly startedAt: string;
  finishedAt?: string | undefined;
  safetyBackupId?: string | undefined;
  readonly steps: JournalStep[];
}

export class JournalFile {
  readonly path: string;
  readonly #folder: string;

  constructor(stateDir: string, target: string) {
    this.#folder = join(stateDir, 'emergency');
    this.path = join(this.#folder, `${target}.json`);
  }

  /** Undefined if there is none. Throws `integrity` for one that cannot be read. */
  async read(): Promise<Journal | undefined> {
    try {
      const journal = JSON.parse(await readFile(this.path, 'utf8')) as Journal;
      if (journal.version !== 1 || !Array.isArray(journal.steps)) throw new Error('it is not of a shape that this version knows');
      return journal;
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw new LifeboatError('integrity', `the journal ${this.path} cannot be read: ${messageOf(error)}`, { state: 'nothing was changed by this run', hint: 'move it away and start anew: lifeboat emergency-restore restore', cause: error });
    }
  }

  async write(journal: Journal): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFileAtomic(this.path, `${JSON.stringify(journal, undefined, 2)}\n`);
    } catch (cause) {
      throw new LifeboatError('usage', `cannot write the journal ${this.path}: ${messageOf(cause)}`, { hint: 'set BACKUP_STATE_DIR to a folder that this user may write', cause });
    }
  }

  /** Puts an earlier journal aside, under the time of its beginning; returns the path. */
  async putAside({ startedAt }: Journal): Promise<string> {
    const path = this.path.replace(/\.json$/, `-${startedAt.replaceAll(/[-:]|\.\d+/g, '')}.json`);
    await rename(this.path, path);
    return path;
  }
}

export function newJournal(plan: EmergencyPlan): Journal {
  return { version: 1, plan, startedAt: new Date().toISOString(), steps: plan.steps.map((step) => ({ ...step, state: 'pending', notes: [] })) };
}
