/**
 * The text of the runbook: what to do on the day of a disaster, with the exact commands for this installation, to be
 * printed and kept where it can be read when nothing works. It takes neither the repository nor a server to make it,
 * so each backup holds the one of its day, and it is written anew to the state folder after each backup.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { EmergencyScenario } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { originOf } from '../../config/origins.ts';
import { repositoryPlace } from '../../config/repository-place.ts';
import { messageOf } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { stateFolderHint, tellingFileErrors } from '../../lib/file-errors.ts';
import { ensureFolder, writeFileAtomic } from '../../lib/fs.ts';
import { printable, printableText } from '../../lib/printable.ts';
import { programPath } from '../../lib/program-path.ts';
import { parseRedisUrl } from '../../source/redis/endpoint.ts';
import { repositoryLocation } from '../open-repository.ts';
import { usualScenarios } from './runbook-scenarios.ts';
import { commandLine, shellWord } from '../shell-words.ts';

/** For a backup to hold; undefined where it cannot be made, which is no reason for a backup to fail. */
export function runbookOf(loaded: LoadedConfig, target: string): string | undefined {
  try {
    return runbookText(loaded, target, []);
  } catch {
    return undefined;
  }
}

/** To the state folder, after each backup; that it fails does no harm to the backup. */
export async function refreshRunbook(loaded: LoadedConfig, context: RunContext): Promise<void> {
  await writeRunbook(loaded, runbookText(loaded, undefined, [])).catch((error: unknown) =>
    context.emit({ type: 'debug', message: `the runbook was not written: ${messageOf(error)}` }),
  );
}

/**
 * `<state>/runbook.md`; returns its path. Throws LifeboatError `usage` (2) or `space` (15) where it cannot be written.
 */
export async function writeRunbook({ config }: LoadedConfig, text: string): Promise<string> {
  const file = join(config.stateDir, 'runbook.md');
  await tellingFileErrors(`${file} cannot be written`, { hint: stateFolderHint }, async () => {
    await ensureFolder(config.stateDir);
    await writeFileAtomic(file, text);
  });
  return file;
}

/** Pure but for the clock and the host's name. `only`: one target; `outlook`: lines of Markdown on what can be had. */
export function runbookText(loaded: LoadedConfig, only: string | undefined, outlook: readonly string[]): string {
  const { config, file } = loaded;
  const lifeboat = [programPath, ...(file === undefined ? [] : ['--config', file])]
    .map(shellWord)
    .map(printable)
    .join(' ');
  const targets = only === undefined ? [...config.targets.keys()] : [only];
  const lines = [
    '# When everything is lost: the runbook of this installation',
    '',
    `Made on ${hostname()}, ${new Date().toISOString()}. Print it, ` +
      'and keep it with the recovery sheet. It holds no secret.',
    '',
    ...needsOf(loaded),
    ...protectedOf(loaded, targets),
    ...outlook,
    '## First',
    '',
    `- What can be restored, how old it is, how long it takes: \`${lifeboat} emergency-restore status\``,
    '',
    ...targets.flatMap((target) => commandsOf(target, lifeboat, targets.length > 1)),
    ...Object.entries(scenariosOf(loaded)).flatMap(([name, scenario]) =>
      scenarioLines(name, scenario, lifeboat, targets),
    ),
    ...peopleOf(loaded),
    '## Without this program',
    '',
    `The repository holds \`rescue/rescue.mjs\`; Node.js and the key are enough: \`node rescue.mjs list ` +
      `<folder>\`, then \`node rescue.mjs extract …\`. Compare its SHA-256 with the recovery sheet first. ` +
      `\`rescue/README.md\` says more.`,
    '',
  ];
  return printableText(lines.join('\n'));
}

/** What is where, without credentials. */
function protectedOf({ config }: LoadedConfig, targets: readonly string[]): string[] {
  const lines = targets.flatMap((name) => {
    const target = config.targets.get(name);
    if (target === undefined) return [];
    const { postgres, redis, files } = target;
    return [
      ...(postgres === undefined
        ? []
        : [
            `- ${name}: PostgreSQL${at(() => postgres.url.describe())}, databases ` +
              postgres.databases.map(printable).join(', '),
          ]),
      ...(redis === undefined ? [] : [`- ${name}: Redis${at(() => parseRedisUrl(redis).text)}`]),
      ...(files === undefined ? [] : [`- ${name}: files in ${files.paths.map(printable).join(', ')}`]),
    ];
  });
  return lines.length === 0 ? [] : ['## What is backed up', '', ...lines, ''];
}

/** Without its secret, which may come from a place that is not asked now, a server's address is not known. */
function at(where: () => string): string {
  try {
    return ` at ${printable(where())}`;
  } catch {
    return '';
  }
}

function commandsOf(target: string, lifeboat: string, isOneOfMany: boolean): string[] {
  const restore = `${lifeboat} emergency-restore restore --target ${target}`;
  return [
    ...(isOneOfMany ? [`### Target ${target}`, ''] : []),
    `- The plan, without changing anything: \`${restore} --dry-run\``,
    `- Carry it out (asks for the name ${target}): \`${restore}\``,
    `- A run that was interrupted goes on with: \`${restore} --resume\``,
    `- Two people: one writes the plan, \`${restore} --plan-out plan.json\`, the other reads it and carries it ` +
      `out, \`${restore} --apply plan.json\``,
    `- Read every byte of a backup first, if there is time: \`${lifeboat} emergency-restore validate latest ` +
      `--target ${target}\``,
    '',
  ];
}

function needsOf(loaded: LoadedConfig): string[] {
  const { config, file, envFile } = loaded;
  const location = repositoryLocation(loaded);
  const where = repositoryPlace(location);
  const key = config.encryption.enabled ? keysOf(loaded) : 'no key: backups are not encrypted';
  return [
    '## What is needed',
    '',
    `- The repository: ${where}`,
    `- ${key}`,
    ...(file === undefined
      ? ['- The configuration: it stands in the environment only; write it down']
      : [`- The configuration: ${file}`]),
    ...(envFile === undefined ? [] : [`- The environment file: ${envFile}`]),
    ...(config.emergency.stopServices === undefined
      ? []
      : [`- Services are stopped by: \`${commandLine(config.emergency.stopServices)}\``]),
    ...(config.emergency.startServices === undefined
      ? []
      : [`- Services are started by: \`${commandLine(config.emergency.startServices)}\``]),
    '',
  ];
}

/** The configured ones over those that the program has. */
function scenariosOf({ config }: LoadedConfig): Record<string, EmergencyScenario> {
  const all: Record<string, EmergencyScenario> = { ...usualScenarios };
  for (const [name, given] of Object.entries(config.emergency.scenarios)) {
    const known: EmergencyScenario = all[name] ?? { title: name };
    all[name] = {
      title: given.title ?? known.title,
      rtoMinutes: given.rtoMinutes ?? known.rtoMinutes,
      rpoMinutes: given.rpoMinutes ?? known.rpoMinutes,
      steps: given.steps ?? known.steps,
    };
  }
  return all;
}

function scenarioLines(
  name: string,
  { title = name, rtoMinutes, rpoMinutes, steps = [] }: EmergencyScenario,
  lifeboat: string,
  targets: readonly string[],
): string[] {
  const promise = [
    rtoMinutes === undefined ? undefined : `back within ${rtoMinutes} minutes (RTO)`,
    rpoMinutes === undefined ? undefined : `at most ${rpoMinutes} minutes of writing lost (RPO)`,
  ].filter((each) => each !== undefined);
  const target = targets.length === 1 ? (targets[0] ?? '<target>') : '<target>';
  return [
    `## ${title}`,
    '',
    ...(promise.length === 0 ? [] : [`Goal: ${promise.join(', ')}.`, '']),
    ...steps.map(
      (step, n) => `${n + 1}. ${step.replaceAll('{lifeboat}', () => lifeboat).replaceAll('{target}', () => target)}`,
    ),
    '',
  ];
}

function keysOf({ config, origins }: LoadedConfig): string {
  const names = (['key', 'passphrase', 'identity'] as const).filter((name) => config.encryption[name] !== undefined);
  if (names.length === 0) return 'the key on the recovery sheet';
  const origin = (name: string): string => originOf(origins, `encryption.${name}`) ?? 'the configuration';
  return names.map((name) => `the encryption ${name} (here from ${origin(name)})`).join(', ');
}

function peopleOf({ config }: LoadedConfig): string[] {
  const { contacts, escalation } = config.emergency;
  const people = contacts.map(
    ({ name, role, reach }) => `- ${name}${role === undefined ? '' : ` (${role})`}: ${reach}`,
  );
  return [
    '## Whom to call',
    '',
    ...(people.length === 0 ? ['- Nobody is named: add "emergency": {"contacts": […]} to the configuration'] : people),
    '',
    ...(escalation.length === 0 ? [] : ['### Escalation', '', ...escalation.map((line, n) => `${n + 1}. ${line}`), '']),
  ];
}
