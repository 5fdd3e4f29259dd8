/** A program of the operator's, which reads one JSON document on its standard input. */
import type { ChannelOf } from '../../../config/config.ts';
import { runToolWith } from '../../../lib/tool-input.ts';
import type { Notice } from '../notice.ts';
import { documentOf } from './document.ts';

/** Rejects unless it ends with 0. What it starts ends with it. */
export async function sendToCommand(
  { command, cwd }: ChannelOf<'command'>,
  notice: Notice,
  signal: AbortSignal,
): Promise<void> {
  const [file = '', ...args] = command;
  const env = { LIFEBOAT_EVENT: notice.event, LIFEBOAT_SEVERITY: notice.severity, LIFEBOAT_OUTCOME: notice.outcome };
  const spec = { file, args, cwd, env, signal, stdout: 'ignore', detached: true } as const;
  await runToolWith(spec, `${JSON.stringify(documentOf(notice))}\n`);
}
