/** What the manual says of lifeboat keys. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Backups are encrypted with data keys, and each data key is wrapped for everybody who may read: the configured ' +
      'key, a passphrase, age recipients. These commands make keys, and say and change who can read.',
    'generate needs neither configuration nor repository, and never overwrites a file. add and remove change the ' +
      'wrapping of the data keys that are there; rotate starts a new data key for what is written next. No backup is ' +
      'encrypted anew: whoever could read a data key before may have kept it.',
    'A change is written as one object for each data key. If it fails in between, repeat it.',
  ],
  examples: [
    { line: 'lifeboat keys list', purpose: 'the data keys, and who can open them' },
    { line: 'lifeboat keys generate --kind age --file safe.identity', purpose: 'a pair of keys for the safe' },
    {
      line: 'lifeboat keys add --recipient age1jzr0n669hhtenl6c33d62alvss7xet6l2zwv54wvskt4qtpqh9lq0fydnj',
      purpose: 'let that pair open what is stored already',
    },
    { line: 'lifeboat keys add --passphrase-env NEW_PASSPHRASE', purpose: 'add a passphrase, from a variable' },
    { line: 'lifeboat keys rotate', purpose: 'a new data key, for the configured readers only' },
  ],
  files: [
    configFile,
    keyFile,
    ['--file', 'the new key (mode 0600)'],
    ['STATE/repositories/<id>', 'which data key is the newest'],
  ],
  exits: {
    done: 'done',
    warnings: 'done, with something to know',
    ...repositoryExits,
    usage: 'a flag or the configuration is wrong, the file exists already, or there is no such recipient',
    not_found: 'there is no repository',
    locked: 'another change of keys is under way',
    integrity: 'a data key is damaged or not from a trusted writer',
    confirmation: 'the recipient to remove was not confirmed',
  },
  environment: [
    ['names given to --key-env and --passphrase-env', 'the secret to add; never an argument, since those can be seen'],
  ],
  seeAlso: ['lifeboat-init(1)', 'lifeboat-repository(7)'],
};
