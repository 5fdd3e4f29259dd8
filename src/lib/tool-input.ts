/** Running a program that reads a text on its standard input. */
import { startTool, type ToolResult, type ToolSpec } from './exec.ts';

/** To its end; rejects as startTool and its result do. A program that does not read all of it is no failure. */
export async function runToolWith(spec: ToolSpec, input: string): Promise<ToolResult> {
  const tool = await startTool({ ...spec, stdin: 'pipe' });
  tool.stdin?.end(input);
  return tool.result;
}
