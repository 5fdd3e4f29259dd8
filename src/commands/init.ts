/** lifeboat init */
import type { Command } from 'commander';
import type { Layer } from '../config/origins.ts';
import { several } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

interface Flags {
  readonly repository?: string;
  readonly keyFile?: string;
  readonly recipient?: string[];
  readonly encryption?: boolean;
  readonly npmScripts?: boolean;
  readonly schedules?: boolean;
  readonly rescueScript?: boolean;
  readonly archiveCommand?: boolean;
}

export function declare(command: Command, session: Session): void {
  command
    .option('--repository <url>', 'file:///path, s3://bucket/prefix or sftp://user@host/path')
    .option('--key-file <file>', 'where the new key goes (default: beside the configuration file)')
    .option('--recipient <age1…>', 'an age recipient that can read backups; may be repeated', several)
    .option('--no-encryption', 'store without encryption')
    .option('--schedules', 'put schedules that suit the targets into the configuration file, if there are none')
    .option('--npm-scripts', "add the backup scripts to this folder's package.json")
    .option(
      '--rescue-script',
      "put this version's rescue script into a repository that is there already; its checksum belongs on the " +
        'recovery sheet',
    )
    .option('--archive-command', 'only print the lines for postgresql.conf that archive the write-ahead log here')
    .action(async (flags: Flags) => (flags.archiveCommand === true ? printRecipe(session) : setUp(flags, session)));
}

async function printRecipe(session: Session): Promise<void> {
  const { config, target } = session.flags;
  return session.perform({
    operation: async () => (await import('../operations/wal/recipe.ts')).walRecipeOperation,
    options: { configPath: config, target },
    view: async () => (await import('../ui/wal-view.ts')).walRecipeView,
  });
}

async function setUp(flags: Flags, session: Session): Promise<void> {
  return session.perform({
    overrides: overrides(flags),
    writesConfig: true,
    operation: async () => (await import('../operations/setup/init.ts')).initOperation,
    options: {
      configPath: session.flags.config,
      keyFile: flags.keyFile,
      rescueScript: flags.rescueScript,
      schedules: flags.schedules,
      npmScriptsIn: flags.npmScripts === true ? session.io.cwd : undefined,
    },
    view: async () => (await import('../ui/init-view.ts')).initView,
  });
}

function overrides(flags: Flags): Layer[] {
  const layers: Layer[] = [];
  if (flags.repository !== undefined) {
    layers.push({ path: 'repository', value: { url: flags.repository }, origin: '--repository' });
  }
  if (flags.recipient !== undefined) {
    layers.push({ path: 'encryption.recipients', value: flags.recipient, origin: '--recipient' });
  }
  if (flags.encryption === false) layers.push({ path: 'encryption.enabled', value: false, origin: '--no-encryption' });
  return layers;
}
