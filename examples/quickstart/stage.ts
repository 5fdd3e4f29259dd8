/**
 * How the quickstart talks and acts: headings, sentences, and commands that are shown before they run.
 * Everything runs in an environment of its own, so that nothing that this shell is configured for is met.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { styleText } from 'node:util';

export interface Stage {
  /** Where commands run. */
  readonly folder: string;
  /** What they see; nothing else. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Every command that was shown, in order. */
  readonly shown: string[];
}

let endsBlank = true;

/** A line in bold with an empty one before and after it. */
export function heading(text: string): void {
  if (!endsBlank) say('');
  say(`${styleText('bold', text)}\n`);
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
  endsBlank = text === '' || text.endsWith('\n');
}

/**
 * Shows `$ command` and runs it with its output on this terminal. Arguments hold no blanks. Throws unless it ends with
 * 0.
 */
export async function show(stage: Stage, command: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
  stage.shown.push(command);
  say(styleText('cyan', `$ ${command}`));
  const [file = '', ...args] = command.split(' ');
  await run(stage, file, args, { env, output: 'inherit' });
  say('');
}

/** Runs a program without showing it and returns what it printed. Throws unless it ends with 0. */
export async function run(
  stage: Stage,
  file: string,
  args: readonly string[],
  options: {
    readonly input?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly output?: 'inherit';
  } = {},
): Promise<string> {
  stage.signal.throwIfAborted();
  const output = options.output ?? 'pipe';
  // In a process group of its own: Ctrl-C reaches us only, and we end the child in good order.
  const child = spawn(file, args, {
    cwd: stage.folder,
    env: { ...stage.env, ...options.env },
    stdio: ['pipe', output, output],
    detached: true,
  });
  let printed = '';
  let complaint = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input ?? '');
  const interrupt = (): void => void child.kill('SIGINT');
  stage.signal.addEventListener('abort', interrupt);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    stage.signal.throwIfAborted();
    if (code !== 0) {
      throw new Error(
        `${file} ${args.join(' ')} ended with ${code ?? signal}${complaint === '' ? '' : `: ${complaint.trim()}`}`,
      );
    }
    return printed;
  } finally {
    stage.signal.removeEventListener('abort', interrupt);
  }
}
