/** Prometheus' own programs, and its text format read back. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

/** Runs promtool; it must find nothing wrong, lint included. What it printed. */
export async function promtool(args: readonly string[], input = '', cwd?: string): Promise<string> {
  const tool = spawn('promtool', args, { stdio: ['pipe', 'pipe', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
  tool.stdin.on('error', () => {}).end(input);
  const [stdout, stderr, code] = await Promise.all([
    text(tool.stdout),
    text(tool.stderr),
    new Promise((resolve) => tool.on('close', resolve)),
  ]);
  assert.equal(code, 0, `promtool ${args.join(' ')}: ${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

/** Values by name and labels, as they are written. */
export function valuesIn(exposition: string): Map<string, number> {
  const lines = exposition.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}
