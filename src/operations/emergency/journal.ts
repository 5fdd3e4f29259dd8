/**
 * The journal of an emergency restore, on disk in the state folder: what was planned, which steps are done. It is
 * written before and after each step, so that a run that was killed can be gone on with. Each repository and target
 * has one of its own: two installations of one host that share a state folder do not see each other's.
 */
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { LifeboatError, systemCodeOf } from '../../lib/errors.ts';
import { fileReason, stateFolderHint, tellingFileErrors } from '../../lib/file-errors.ts';
import { ensureFolder, writeFileAtomic } from '../../lib/fs.ts';
import { readTextAt } from '../../lib/held-files.ts';
import { HeldFolder } from '../../lib/held-folder.ts';
import { parseJson } from '../../lib/json.ts';
import { isGone, isSameSystem, ownIdentity, type ProcessIdentity } from '../../lib/process-identity.ts';
import { commandLine } from '../shell-words.ts';
import type { EmergencyPlan, PlannedStep } from './plan.ts';
import type { RestoreMark } from '../restore/marks.ts';

export interface JournalStep extends PlannedStep {
  state: 'pending' | 'running' | 'done' | 'skipped' | 'failed';
  /** RFC 3339, UTC. */
  startedAt?: string | undefined;
  finishedAt?: string | undefined;
  /** What came of it, one line each. */
  notes: string[];
  /** What its attempts have reached. */
  marks?: RestoreMark[] | undefined;
}

export interface Journal {
  readonly version: 1;
  /** Whose backup it is. */
  readonly repositoryId: string;
  /** The process that works at it, or did. */
  by: ProcessIdentity;
  readonly plan: EmergencyPlan;
  readonly startedAt: string;
  finishedAt?: string | undefined;
  safetyBackupId?: string | undefined;
  readonly steps: JournalStep[];
}

/** Its plan has 4 MiB at most; its notes are lines. */
const maxJournalBytes = 16 * 1024 * 1024;

export class JournalFile {
  readonly path: string;
  /** What the commands of the services printed. */
  readonly servicesLog: string;
  readonly #folder: string;
  readonly #repositoryId: string;

  constructor(stateDir: string, repositoryId: string, target: string) {
    this.#folder = join(stateDir, 'emergency', repositoryId);
    this.#repositoryId = repositoryId;
    this.path = join(this.#folder, `${target}.json`);
    this.servicesLog = join(this.#folder, `${target}-services.log`);
  }

  /** Undefined if there is none. Throws `integrity` for one that cannot be read. */
  async read(): Promise<Journal | undefined> {
    try {
      const journal = parseJson(await readTextAt(this.path, maxJournalBytes)) as Journal;
      if (journal.version !== 1 || !Array.isArray(journal.steps) || journal.repositoryId !== this.#repositoryId) {
        throw new Error('it is not of a shape that this version knows');
      }
      return journal;
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      const away = commandLine(['mv', this.path, `${this.path}.damaged`]);
      throw new LifeboatError('integrity', `the journal ${this.path} cannot be read: ${fileReason(error)}`, {
        state: 'nothing was changed by this run',
        hint: `move it away and start anew: ${away}; lifeboat emergency-restore restore`,
        cause: error,
      });
    }
  }

  async write(journal: Journal): Promise<void> {
    await tellingFileErrors(`cannot write the journal ${this.path}`, { hint: stateFolderHint }, async () => {
      await ensureFolder(this.#folder);
      await writeFileAtomic(this.path, `${JSON.stringify(journal, undefined, 2)}\n`);
    });
  }

  /** Puts an earlier journal aside, under the time of its beginning; returns the path. */
  async putAside({ startedAt }: Journal): Promise<string> {
    const path = this.path.replace(/\.json$/, `-${startedAt.replaceAll(/[-:]|\.\d+/g, '')}.json`);
    using folder = HeldFolder.open(this.#folder);
    await rename(folder.child(basename(this.path)), folder.child(basename(path)));
    return path;
  }
}

/** True if the process that works at a journal is proven alive, and is not this one. */
export function isAtWork({ by, finishedAt }: Pick<Journal, 'by' | 'finishedAt'>): boolean {
  const own = ownIdentity();
  return (
    finishedAt === undefined &&
    by.pid !== own.pid &&
    isSameSystem(by, own) &&
    by.processStart !== '' &&
    !isGone(by, own)
  );
}

export function newJournal(plan: EmergencyPlan, repositoryId: string): Journal {
  return {
    version: 1,
    repositoryId,
    by: ownIdentity(),
    plan,
    startedAt: new Date().toISOString(),
    steps: plan.steps.map((step) => ({ ...step, state: 'pending', notes: [] })),
  };
}
