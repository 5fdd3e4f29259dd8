/** The lines for postgresql.conf that make a server archive its log here, and read it back. */
import type { PostgresUrl } from '../../config/postgres-url.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { programPath } from '../../lib/program-path.ts';
import { shippedRoot } from '../../repository/shipped-notes.ts';
import { withConnection } from '../../source/postgres/server/connection.ts';
import { refuseUnknownMajor } from '../../source/postgres/wal/known-majors.ts';
import { repositoryLocation } from '../open-repository.ts';
import type { WalRecipeRequest, WalRecipeResult } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, pathOf } from '../complete.ts';

const connectTimeoutMs = 3000;

export const walRecipeOperation: Operation<WalRecipeRequest, WalRecipeRequest, WalRecipeResult> = {
  need: () => ({ targets: 'all', mayLackTargets: true }),
  complete: (options, { cwd }) => ({ ...given(options), configPath: pathOf(options.configPath, cwd) }),
  run: walRecipe,
};

/**
 * The archive_command looks for a note of an earlier call before it starts the program: what a batch took along costs
 * a few milliseconds. The note lies in a folder of that data directory and must be younger than the file.
 */
export async function walRecipe(
  loaded: LoadedConfig,
  { configPath, target }: WalRecipeRequest,
  { signal }: Pick<RunContext, 'signal'>,
): Promise<WalRecipeResult> {
  repositoryLocation(loaded);
  await refuseUnknownServers(loaded, target, signal);
  const config = configPath ?? loaded.file;
  const flags = [
    ...(config === undefined ? [] : ['--config', quoted(config)]),
    ...(target === undefined ? [] : ['--target', target]),
  ].join(' ');
  const call = (words: string): string => `${quoted(programPath)} wal ${words}${flags === '' ? '' : ` ${flags}`}`;
  const notes = quoted(shippedRoot(loaded.config.stateDir));
  return {
    archiveCommand: setting(
      'archive_command',
      `d=${notes}"$PWD"; test "$d/%f" -nt "%p" || exec ${call('push')} --shipped "$d" "%p"`,
    ),
    restoreCommand: setting('restore_command', `${call('fetch')} "%f" "%p"`),
  };
}

/** As far as the servers answer at once: their archive_command would fail for ever. */
async function refuseUnknownServers(
  { config }: LoadedConfig,
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const urls = [...config.targets.values()].flatMap(({ name, postgres }) =>
    postgres === undefined || (wanted !== undefined && name !== wanted) ? [] : [postgres.url],
  );
  const majors = await Promise.all(urls.map(async (url) => majorOf(url, signal)));
  for (const major of majors) if (major !== undefined) refuseUnknownMajor(major);
}

/** Undefined: it does not answer, or not us. */
async function majorOf(url: PostgresUrl, signal: AbortSignal): Promise<number | undefined> {
  try {
    return await withConnection(url, { signal, connectTimeoutMs }, async ({ serverVersionNum }) =>
      Math.trunc(serverVersionNum / 10_000),
    );
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** For the shell, and with PostgreSQL's own sign doubled. */
function quoted(path: string): string {
  if (/['\n]/.test(path)) {
    throw new LifeboatError('usage', `cannot write a command with the path ${JSON.stringify(path)}`, {
      hint: 'use paths without quotes and line breaks',
    });
  }
  const escaped = path.replaceAll('%', '%%');
  return /^[\w./%+:@-]+$/.test(path) ? escaped : `"${escaped.replaceAll(/[\\$`"]/g, String.raw`\$&`)}"`;
}

function setting(name: string, command: string): string {
  return `${name} = '${command.replaceAll("'", "''")}'`;
}
