/** What the manual says of lifeboat config. */
import { configFile, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'show prints each configuration value with its origin: a flag, a variable, the file, or the default. Secrets are ' +
      'masked, and none is fetched: files and commands that hold them are not looked at. All faults of the ' +
      'configuration are told together. Nothing is changed, and neither a server nor the repository is asked.',
  ],
  examples: [
    { line: 'lifeboat config show', purpose: 'what is in force, and where each value comes from' },
    { line: 'lifeboat config show --schema > lifeboat.schema.json', purpose: 'the JSON Schema, for an editor' },
  ],
  files: [configFile],
  exits: { done: 'printed', usage: 'the configuration has faults; all are told' },
  seeAlso: ['lifeboat-doctor(1)', 'lifeboat-init(1)'],
};
