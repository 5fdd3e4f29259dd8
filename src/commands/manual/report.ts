/** What the manual says of lifeboat report. */
import { configFile, keyFile, repositoryExits, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Tells of a time what auditors and managers ask: what was to run and ran, how many backups were made and how ' +
      'large they are, what was proven and how long a restore took beside what the plan for emergencies promises, ' +
      'retention and immutability in force, who restored, exported and deleted, the keys and their age, and what is ' +
      'not as it should be now. All of it comes from signed records in the repository, but for open incidents, ' +
      'which are those of lifeboat-status(1), and what is configured on this host.',
    'HTML is one file that loads nothing and prints well. --bundle writes the records themselves to a ZIP file, byte ' +
      'for byte, with the report and a script that verifies their signatures without lifeboat and without the ' +
      "repository's key; README.txt in it says how.",
    'A moment of a schedule counts as done if one attempt at it was; caught up are those for which a later run stands.',
  ],
  examples: [
    { line: 'lifeboat report', purpose: 'the last 30 days' },
    { line: 'lifeboat report --days 90 --format pdf --output backups.pdf', purpose: 'a quarter, for the file' },
    {
      line: 'lifeboat report --days 365 --format html --output year.html --bundle evidence.zip',
      purpose: 'a year, with the evidence',
    },
  ],
  files: [configFile, keyFile],
  exits: { done: 'the report was made, whatever it tells', ...repositoryExits, not_found: 'there is no repository' },
  seeAlso: ['lifeboat-audit(1)', 'lifeboat-status(1)', 'lifeboat-repository(7)'],
};
