/** What a backup before a deployment came to, in Markdown, for the page that a CI shows of a run. */
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { appendTo } from '../../lib/held-files.ts';
import { formatDuration } from '../../lib/time.ts';
import { formatBytes } from '../../lib/units.ts';
import type { BackupResult } from '../backup/request.ts';
import { sumSizes } from '../component.ts';
import { oneLine, withoutSecrets } from '../notify/words.ts';

interface Asked {
  readonly label: string;
  readonly summaryFile?: string | undefined;
  readonly dryRun: boolean;
}

/** Runs it, and adds to the file what came of it. A file that cannot be written is a warning. */
export async function summarized(
  asked: Asked,
  context: RunContext,
  run: (context: RunContext) => Promise<BackupResult>,
): Promise<BackupResult> {
  let result: BackupResult;
  try {
    result = await run(context);
  } catch (error) {
    await add(asked, failedText(asked.label, error), context);
    throw error;
  }
  if (result.outcome !== 'done') return result;
  const trouble = await add(asked, doneText(asked.label, result), context);
  return trouble === undefined ? result : { ...result, warnings: [...result.warnings, trouble] };
}

async function add({ summaryFile, dryRun }: Asked, text: string, { emit }: RunContext): Promise<string | undefined> {
  if (summaryFile === undefined || dryRun) return undefined;
  try {
    await appendTo(summaryFile, text, 0o644);
    return undefined;
  } catch (error) {
    const message = `cannot write the summary to ${summaryFile}: ${messageOf(error)}`;
    emit({ type: 'warning', message });
    return message;
  }
}

function doneText(label: string, result: Extract<BackupResult, { outcome: 'done' }>): string {
  const { readBytes, storedBytes } = sumSizes(result.components);
  const rows = [
    ['backup', code(result.id)],
    ['target', plain(result.target)],
    ['components', plain(result.components.map(({ name }) => name).join(', '))],
    [
      'size',
      `read ${formatBytes(readBytes)}, stored ${formatBytes(storedBytes)}, in ${formatDuration(result.durationMs)}`,
    ],
    ...(result.hold === undefined ? [] : [['on hold until', plain(result.hold.until)]]),
    ...result.warnings.map((warning) => ['warning', plain(withoutSecrets(warning))]),
  ];
  const undo =
    result.undo === undefined ? [] : ['To go back to it:', '', '```sh', oneLine(result.undo.command, 4000), '```', ''];
  return [
    `### Backup before the deployment of ${plain(label)}`,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name = '', value = '']) => `| ${name} | ${value} |`),
    '',
    ...undo,
    '',
  ].join('\n');
}

function failedText(label: string, error: unknown): string {
  const why = plain(withoutSecrets(messageOf(error)));
  return `### No backup before the deployment of ${plain(label)}\n\n${why}\n\n`;
}

/** Text that is no Markdown and no HTML, whatever it is. */
function plain(text: string): string {
  return oneLine(text, 500).replaceAll(/[\\`*_{}[\]<>()#+!|~&@:-]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** An id of ours has nothing in it that Markdown would see. */
function code(id: string): string {
  return `\`${id}\``;
}
