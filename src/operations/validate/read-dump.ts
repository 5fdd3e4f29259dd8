/** Whether pg_restore can read a dump to its end. */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunningTool } from '../../lib/exec.ts';
import type { Inlets } from '../../lib/inlets.ts';
import type { PostgresTools } from '../../source/postgres/server/tools.ts';
import type { ArtifactReader } from '../../source/source.ts';

/**
 * All of an archive through pg_restore, the result thrown away. (Its --list reads no more than the beginning.) Throws
 * `integrity`.
 */
export async function readDump(
  { pgRestore }: PostgresTools,
  inlets: Inlets,
  reader: ArtifactReader,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const [{ runFed }, { startTool, ToolError }] = await Promise.all([
    import('../../source/postgres/restore/data.ts'),
    import('../../lib/exec.ts'),
  ]);
  const start = async (stdin: number, until: AbortSignal): Promise<{ tool: RunningTool }> => ({
    tool: await startTool({ file: pgRestore, args: ['--file=/dev/null'], stdin, stdout: 'ignore', signal: until }),
  });
  const { tool } = await runFed(inlets, start, reader.open(name), () => {}, signal);
  try {
    await tool.result;
  } catch (error) {
    // Killed is not judged: somebody ended the program, the archive may be sound.
    if (!(error instanceof ToolError) || error.toolExitCode === undefined) throw error;
    throw new LifeboatError('integrity', `pg_restore cannot read it: ${error.message}`, { cause: error });
  }
}
