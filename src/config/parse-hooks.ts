/** From the sections with programs of the operator's, as they are written, to what is run. */
import { Secret } from '../lib/secret.ts';
import type { ConfiguredCommand, Hooks, HooksAround, QuiesceConfig } from './config.ts';
import type { Parser } from './parser.ts';
import type { HooksSettings, QuiesceSettings } from './schema-hooks.ts';

/** `at`: where the section stands in the document. */
export function parseHooks(settings: HooksSettings | undefined, at: string, parser: Parser): Hooks {
  const around = (command: keyof HooksSettings): HooksAround | undefined => {
    const { before, after } = settings?.[command] ?? { before: [], after: [] };
    if (before.length + after.length === 0) return undefined;
    const place = `${at}.${command}`;
    return {
      before: before.map((each) => ({
        ...parseCommand(each.command, each, `${place}.before`, parser),
        onFailure: each.onFailure,
      })),
      after: after.map((each) => parseCommand(each.command, each, `${place}.after`, parser)),
    };
  };
  return { backup: around('backup'), restore: around('restore'), pitr: around('pitr'), cleanup: around('cleanup') };
}

export function parseQuiesce(
  settings: QuiesceSettings | undefined,
  at: string,
  parser: Parser,
): QuiesceConfig | undefined {
  if (settings === undefined) return undefined;
  const { begin, end } = settings;
  return {
    begin: parseCommand(begin, settings, `${at}.begin`, parser),
    end: parseCommand(end, settings, `${at}.end`, parser),
  };
}

/** Of variables that are not set it gets none. */
function parseCommand(
  command: readonly string[],
  { timeoutSeconds, env: names }: { readonly timeoutSeconds: number; readonly env: readonly string[] },
  at: string,
  parser: Parser,
): ConfiguredCommand {
  const { env } = parser.surroundings;
  const given = names.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, new Secret(value)] as const];
  });
  return { command, cwd: parser.folder(at), timeoutMs: timeoutSeconds * 1000, env: new Map(given) };
}
