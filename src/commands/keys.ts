/** lifeboat keys generate|list|add|remove|rotate */
import { Option, type Command } from 'commander';
import { LifeboatError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { keysGenerateDefaults, type KeysAddRequest } from '../operations/setup/request.ts';
import { confirmFlag, oneOf } from './shared/flags.ts';
import type { Session } from './shared/session.ts';

const keysView = async () => (await import('../ui/keys-view.ts')).keysChangeView;

export function declare(command: Command, session: Session): void {
  command
    .command('generate')
    .description('make a new key and print it, or write it to a file')
    .addOption(
      new Option('--kind <kind>', 'raw: one key for reading and writing; age: a pair, the recipient writes')
        .argParser(oneOf(['raw', 'age'] as const))
        .default(keysGenerateDefaults.kind),
    )
    .option('--file <file>', 'write it here (0600) instead of printing it')
    .action(async (flags: { kind: 'raw' | 'age'; file?: string }) => {
      // Without the configuration, which a host that only makes keys has none of.
      const { generateKey } = await import('../operations/setup/keys.ts');
      const file = flags.file === undefined ? undefined : session.path(flags.file);
      await session.show(
        await generateKey({ kind: flags.kind, file }),
        (await import('../ui/keys-view.ts')).keysGenerateView,
      );
    });
  command
    .command('list')
    .description('the data keys and who can open them')
    .action(async () =>
      session.perform({
        operation: async () => (await import('../operations/setup/keys.ts')).keysListOperation,
        options: {},
        view: async () => (await import('../ui/keys-view.ts')).keysListView,
      }),
    );
  command
    .command('add')
    .description('let one more key or recipient open the data keys')
    .option('--recipient <age1…>', 'an age recipient')
    .option('--key-env <name>', 'environment variable with a key')
    .option('--passphrase-env <name>', 'environment variable with a passphrase')
    .action(async (flags: AddFlags) => {
      const add = whatToAdd(flags, session);
      return session.perform({
        operation: async () => (await import('../operations/setup/keys.ts')).keysAddOperation,
        options: { add },
        view: keysView,
      });
    });
  command
    .command('remove')
    .description('take a recipient off the data keys; it still knows what it has seen: rotate afterwards')
    .argument('<recipient>', 'raw, passphrase, or an age recipient')
    .addOption(confirmFlag())
    .action(async (recipient: string, flags: { confirm?: string }) =>
      session.perform({
        confirmed: flags.confirm,
        operation: async () => (await import('../operations/setup/keys.ts')).keysRemoveOperation,
        options: { recipient },
        view: keysView,
      }),
    );
  command
    .command('rotate')
    .description('start a new data key, wrapped for the configured key and recipients only')
    .action(async () =>
      session.perform({
        operation: async () => (await import('../operations/setup/keys.ts')).keysRotateOperation,
        options: {},
        view: keysView,
      }),
    );
}

interface AddFlags {
  readonly recipient?: string;
  readonly keyEnv?: string;
  readonly passphraseEnv?: string;
}

function whatToAdd({ recipient, keyEnv, passphraseEnv }: AddFlags, { io }: Session): KeysAddRequest['add'] {
  const name = keyEnv ?? passphraseEnv;
  if ([recipient, keyEnv, passphraseEnv].filter((each) => each !== undefined).length !== 1) {
    throw new LifeboatError('usage', 'give one of --recipient, --key-env, --passphrase-env');
  }
  if (recipient !== undefined) return { type: 'age', recipient };
  const value = name === undefined ? undefined : io.env[name];
  if (value === undefined || value.trim() === '') {
    throw new LifeboatError('usage', `the environment variable ${name} is not set`);
  }
  return { type: keyEnv === undefined ? 'passphrase' : 'key', secret: new Secret(value) };
}
