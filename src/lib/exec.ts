/**
 * The one place that starts programs. Arguments never carry secrets (they are visible in ps);
 * children get a small environment of ours, not all of the parent's, so that neither keys nor a
 * user's locale leak into them (messages are classified, so they must be English).
 */
import type { Readable, Writable } from 'node:stream';
import { AbortedError, LifeboatError, systemCodeOf } from './errors.ts';
import { programFolders } from './program-folders.ts';
import { searchPath } from './search-path.ts';

export interface ToolSpec {
  /** Name looked up in PATH, or an absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  /** What errors call it; default: the last part of `file`. */
  readonly name?: string;
  /** Added to the base environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Variables of ours that it gets besides the usual ones. */
  readonly inherits?: readonly string[];
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Default: nothing. 'pipe' gives a stream in `stdin`; a number is a file descriptor. */
  readonly stdin?: 'ignore' | 'pipe' | number;
  /**
   * Default 'collect': the text is in the result (at most 64 MiB). 'pipe' gives a stream; a number is a file
   * descriptor.
   */
  readonly stdout?: 'collect' | 'ignore' | 'pipe' | number;
  /**
   * Default: its end is kept, and the result waits until nobody has it open. A number is a file descriptor: then what
   * the child leaves running keeps nobody waiting.
   */
  readonly stderr?: number;
  /** Aborting ends the child (with `detached` all of its group): SIGTERM, after 5 s SIGKILL. */
  readonly signal?: AbortSignal;
  /** Default [0]. */
  readonly okExitCodes?: readonly number[];
  /** Each complete line of standard error as it comes. */
  readonly onStderrLine?: (line: string) => void;
  /** Start in a process group of its own (servers). */
  readonly detached?: boolean;
  /** The kernel ends a child that takes more, the file by SIGXFSZ: for one that speaks with who is not trusted. */
  readonly limits?: { readonly memoryBytes: number; readonly fileBytes: number };
}

export interface ToolResult {
  readonly exitCode: number;
  readonly stdout: string;
  /** The last 256 KiB. */
  readonly stderr: string;
}

export interface RunningTool {
  readonly pid: number;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  /** Its end is in the result; for more, listen before anything else is awaited. Null where it goes elsewhere. */
  readonly stderr: Readable | null;
  /** Calls once the program itself has ended, whoever still has its output open. */
  onExit(listener: (end: ProgramEnd) => void): void;
  /** Rejects with a ToolError (or the reason of the abort) unless the exit code is an allowed one. */
  readonly result: Promise<ToolResult>;
  kill(signal: NodeJS.Signals): void;
  /** With `detached`: it, and what it has started in its group. */
  killGroup(signal: NodeJS.Signals): void;
}

/** Null: by a signal, or not by one. */
export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** A program ended badly: exit code 13 unless the caller knows better. */
export class ToolError extends LifeboatError {
  override readonly name = 'ToolError';
  readonly tool: string;
  /** Undefined when it died of a signal. */
  readonly toolExitCode: number | undefined;
  readonly toolSignal: string | undefined;
  readonly stderr: string;

  constructor(tool: string, exitCode: number | undefined, signal: string | undefined, stderr: string) {
    const how = signal === undefined ? `exited with code ${exitCode}` : `was killed by ${signal}`;
    const said = lastLines(stderr);
    super('source', `${tool} ${how}${said === '' ? '' : `: ${said}`}`, { retryable: true });
    this.tool = tool;
    this.toolExitCode = exitCode;
    this.toolSignal = signal;
    this.stderr = stderr;
  }
}

/** Runs a program to its end. */
export async function runTool(spec: ToolSpec): Promise<ToolResult> {
  return (await startTool(spec)).result;
}

/** Starts a program; resolves once it runs. A missing program is a LifeboatError `tool` (16). */
export async function startTool(spec: ToolSpec): Promise<RunningTool> {
  const { execa } = await import('execa');
  throwIfAborted(spec.signal);
  const stdout = spec.stdout ?? 'collect';
  const [file, args] = spec.limits === undefined ? [spec.file, spec.args] : limited(spec, spec.limits);
  const child = execa(file, [...args], {
    env: { ...baseEnvironment(spec.inherits), ...spec.env },
    extendEnv: false,
    // File descriptors work here, but execa's types only know them in options of their own.
    stdio: [
      (spec.stdin ?? 'ignore') as 'ignore',
      (stdout === 'collect' ? 'pipe' : stdout) as 'pipe',
      (spec.stderr ?? 'pipe') as 'pipe',
    ],
    buffer: { stdout: stdout === 'collect', stderr: false },
    maxBuffer: 64 * 1024 * 1024,
    stripFinalNewline: false,
    reject: false,
    cleanup: true,
    detached: spec.detached ?? false,
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    ...(spec.uid === undefined ? {} : { uid: spec.uid }),
    ...(spec.gid === undefined ? {} : { gid: spec.gid }),
  });
  const stderr = collectTail(child.stderr, spec.onStderrLine);
  if (child.pid === undefined) throw missingTool(spec.file, (await child).cause);
  // A pipe whose reader died is reported by the exit code, not by EPIPE on our side.
  (child.stdin as unknown as Writable | null)?.on('error', () => {});
  const group = spec.detached === true ? groupOf(child.pid) : child;
  const stopAborting = endOnAbort(group, spec.signal);
  const result = (async (): Promise<ToolResult> => {
    const ended = await child;
    stopAborting();
    throwIfAborted(spec.signal);
    const tool = spec.name ?? spec.file.slice(spec.file.lastIndexOf('/') + 1);
    if (ended.isTerminated || ended.exitCode === undefined) {
      throw new ToolError(tool, undefined, ended.signal ?? 'a signal', stderr());
    }
    if (spec.limits !== undefined && ended.exitCode === notFoundByShell) throw notInstalled(spec.file, undefined);
    if (!(spec.okExitCodes ?? [0]).includes(ended.exitCode)) {
      throw new ToolError(tool, ended.exitCode, undefined, stderr());
    }
    return { exitCode: ended.exitCode, stdout: typeof ended.stdout === 'string' ? ended.stdout : '', stderr: stderr() };
  })();
  result.catch(() => {});
  return {
    pid: child.pid,
    stdin: spec.stdin === 'pipe' ? child.stdin : null,
    stdout: stdout === 'pipe' ? child.stdout : null,
    stderr: child.stderr,
    onExit: (listener) => {
      child.nodeChildProcess.once('exit', (exitCode, signal) => listener({ exitCode, signal }));
    },
    result,
    kill: (signal) => void child.kill(signal),
    killGroup: (signal) => void group.kill(signal),
  };
}

const notFoundByShell = 127;

/** A shell sets the limits and becomes the program; one that has tighter limits keeps them. */
function limited(
  { file, args }: ToolSpec,
  { memoryBytes, fileBytes }: NonNullable<ToolSpec['limits']>,
): [file: string, args: readonly string[]] {
  const [kib, blocks] = [Math.ceil(memoryBytes / 1024), Math.ceil(fileBytes / 512)];
  const script = `ulimit -v ${kib} 2>/dev/null; ulimit -f ${blocks} 2>/dev/null; exec "$0" "$@"`;
  return ['/bin/sh', ['-c', script, file, ...args]];
}

/** What every child gets. */
function baseEnvironment(inherits: readonly string[] = []): Record<string, string> {
  const env: Record<string, string> = { LC_ALL: 'C.UTF-8', LANGUAGE: 'C' };
  const usual = ['PATH', 'HOME', 'TZ', 'TMPDIR', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'KRB5CCNAME'];
  for (const name of [...usual, ...inherits]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  const { redis } = programFolders();
  env['PATH'] = `${redis === undefined ? '' : `${redis}:`}${searchPath(env['PATH'])}`;
  return env;
}

/** A program that leads a group, with all that it has started. */
function groupOf(pid: number): { kill: (signal: NodeJS.Signals) => boolean } {
  return {
    kill: (signal) => {
      try {
        return process.kill(-pid, signal);
      } catch (error) {
        if (systemCodeOf(error) === 'ESRCH') return false;
        throw error;
      }
    },
  };
}

function endOnAbort(child: { kill: (signal: NodeJS.Signals) => boolean }, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => {};
  let timer: NodeJS.Timeout | undefined;
  const end = (): void => {
    child.kill('SIGTERM');
    timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  };
  signal.addEventListener('abort', end, { once: true });
  return () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw signal.reason instanceof Error ? signal.reason : new AbortedError('SIGTERM');
}

function missingTool(file: string, cause: unknown): LifeboatError {
  if (systemCodeOf(cause) !== 'ENOENT') {
    return new LifeboatError('tool', `cannot start ${file}: ${String(cause)}`, { cause });
  }
  return notInstalled(file, cause);
}

function notInstalled(file: string, cause: unknown): LifeboatError {
  return new LifeboatError('tool', `${file} is not installed or not in PATH`, {
    hint: `install it, then run: lifeboat doctor`,
    cause,
  });
}

const tailBytes = 256 * 1024;

/** Drains a stream, keeping its end; hands out complete lines. */
function collectTail(stream: Readable | null, onLine: ((line: string) => void) | undefined): () => string {
  let tail = '';
  let line = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    tail = (tail + text).slice(-tailBytes);
    if (onLine === undefined) return;
    const lines = (line + text).split('\n');
    line = (lines.pop() ?? '').slice(-tailBytes);
    for (const each of lines) onLine(each);
  });
  stream?.on('error', () => {});
  return () => tail;
}

function lastLines(stderr: string): string {
  return stderr.trim().split('\n').slice(-3).join('; ').slice(0, 1000);
}
