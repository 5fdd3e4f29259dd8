/**
 * Changes the schedules of a configuration file in place. The commit point is the file's replacement: before it the
 * reader has read what it is to hold.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { textAt } from '../../config/jsonc-edit.ts';
import { editFile } from '../../lib/edit-file.ts';
import { addState, LifeboatError, messageOf } from '../../lib/errors.ts';
import { tellingFileErrors } from '../../lib/file-errors.ts';
import { lineDiff } from '../../lib/line-diff.ts';
import { changeSchedules, isEmpty, unchanged } from './edit-text.ts';
import { listSchedules } from './list.ts';
import type { ListedSchedule, ScheduleChange, ScheduleEditResult } from './request.ts';
import { scheduleKeyOf } from './slot.ts';

export interface EditSurroundings {
  /** Only say what would be changed. */
  readonly dryRun: boolean;
  /** Reads the configuration as if its file held that text. */
  readonly reload: (file: string, text: string) => Promise<LoadedConfig>;
}

/** Throws LifeboatError `usage` where the file cannot be changed or would be no configuration; nothing is, then. */
export async function editSchedules(
  loaded: LoadedConfig,
  change: ScheduleChange,
  { dryRun, reload }: EditSurroundings,
): Promise<ScheduleEditResult> {
  const file = editableFile(loaded);
  if (change.act === 'update' && isEmpty(change)) {
    throw new LifeboatError('usage', 'say what is to be updated', { hint: 'see: lifeboat schedule update --help' });
  }
  let result: ScheduleEditResult | undefined;
  await tellingFileErrors(`cannot change the configuration file ${file}`, { state: unchanged }, async () =>
    editFile(file, async (text) => {
      const edited = changeSchedules(text, change);
      result = {
        file,
        ...answer(await reading(async () => reload(file, edited)), change),
        diff: diffOf(text, edited),
        dryRun,
      };
      return dryRun ? undefined : edited;
    }).catch((error: unknown) => {
      throw error instanceof LifeboatError && error.state === undefined ? addState(error, unchanged) : error;
    }),
  );
  if (result === undefined) throw new Error('the file was not read');
  return result;
}

/** Throws where they come from somewhere else. */
function editableFile({ file, origins }: LoadedConfig): string {
  const origin = origins.get('schedules');
  if (origin !== undefined && origin !== file) {
    throw new LifeboatError('usage', `cannot change the schedules: they come from ${origin}, not from a file`, {
      state: unchanged,
      hint: `change them there; or unset it, and let them stand in ${file ?? 'the configuration file'} ("schedules")`,
    });
  }
  if (file !== undefined) return file;
  throw new LifeboatError('usage', 'cannot change the schedules: there is no configuration file', {
    state: unchanged,
    hint: 'write one: lifeboat init; or name one: --config <file>',
  });
}

async function reading(reload: () => Promise<LoadedConfig>): Promise<LoadedConfig> {
  try {
    return await reload();
  } catch (error) {
    throw addState(error, unchanged);
  }
}

const shownMoments = 3;

function answer(
  loaded: LoadedConfig,
  { id, act }: ScheduleChange,
): Pick<ScheduleEditResult, 'id' | 'act' | 'schedule' | 'warnings'> {
  const schedule = loaded.config.schedules.find((each) => each.id === id);
  const listed: ListedSchedule | undefined = listSchedules(loaded, shownMoments).schedules.find(
    (each) => each.id === id,
  );
  const warnings: string[] = [];
  try {
    if (schedule !== undefined) scheduleKeyOf(loaded, schedule);
  } catch (error) {
    if (!(error instanceof LifeboatError)) throw error;
    warnings.push(`as it is, ${id} cannot run: ${messageOf(error)}`);
  }
  return { id, act, ...(listed === undefined ? {} : { schedule: listed }), warnings };
}

/** Of the schedules only: what stands beside them may be a secret. */
function diffOf(before: string, after: string): string[] {
  const [old = '', now = ''] = [before, after].map((text) => textAt(text, ['schedules']));
  return lineDiff(old, now);
}
