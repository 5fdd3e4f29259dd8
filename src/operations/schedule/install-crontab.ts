/**
 * Lines in the crontab of this user, by crontab(1): ours stand between two marks at its end, and all else stays as it
 * is. Mail goes where that of the user's own lines does.
 */
import { userInfo } from 'node:os';
import { ToolError, runTool, startTool } from '../../lib/exec.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { markOf } from './install-mark.ts';
import { changedMeanwhile, type Place, type PlacedChange } from './install-place.ts';
import type { PrintedFile } from './request.ts';

export class CrontabPlace implements Place {
  readonly #file: string;
  readonly #path = `the crontab of ${userInfo().username}`;

  /** `file`: of the configuration. */
  constructor(file: string) {
    this.#file = file;
  }

  async plan(wanted: readonly PrintedFile[]): Promise<readonly PlacedChange[]> {
    const before = await readCrontab();
    const lines = wanted.map(({ text }) => text).join('');
    const after = withLines(before ?? '', this.#file, lines);
    return after === (before ?? '') ? [] : [{ path: this.#path, before, after: after === '' ? undefined : after }];
  }

  async apply({ path, before, after }: PlacedChange): Promise<void> {
    if ((await readCrontab()) !== before) throw changedMeanwhile(path);
    if (after === undefined) {
      await runTool({ file: 'crontab', args: ['-r'] });
      return;
    }
    const child = await startTool({ file: 'crontab', args: ['-'], stdin: 'pipe' });
    child.stdin?.end(after);
    await child.result;
  }
}

/** A crontab with these lines between the marks of that configuration, and no others; none: without the marks. Pure. */
export function withLines(crontab: string, file: string, lines: string): string {
  const [mark, end] = [markOf(file), endOf(file)];
  const block = lines === '' ? '' : `${mark}\n${lines}${end}\n`;
  const whole = crontab === '' || crontab.endsWith('\n') ? crontab : `${crontab}\n`;
  const all = whole.split('\n');
  const [first, last] = [all.indexOf(mark), all.indexOf(end)];
  const marks = all.filter((line) => line === mark || line === end).length;
  if (marks === 0) return block === '' ? crontab : whole + block;
  if (marks !== 2 || first === -1 || last < first) {
    throw new LifeboatError('usage', 'cannot change the crontab: the lines around those of lifeboat are not whole', {
      state: 'nothing was changed',
      hint: `remove what is left of them: crontab -e, from "${mark}" to "${end}"`,
    });
  }
  const before = all.slice(0, first).map((line) => `${line}\n`);
  return [...before, block, all.slice(last + 1).join('\n')].join('');
}

function endOf(file: string): string {
  return `# End of what lifeboat schedule install has written from ${JSON.stringify(file)}`;
}

/** Undefined: this user has none. */
async function readCrontab(): Promise<string | undefined> {
  try {
    return (await runTool({ file: 'crontab', args: ['-l'] })).stdout;
  } catch (error) {
    if (error instanceof ToolError && /no crontab for/.test(error.stderr)) return undefined;
    throw error;
  }
}
