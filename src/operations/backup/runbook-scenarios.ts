/** The disasters that every runbook tells of, and what to do then, in steps. */
import type { EmergencyScenario } from '../../config/config.ts';

/** What is promised and done unless the configuration says otherwise. `<target>` stands for each target's name. */
export const usualScenarios: Readonly<Record<string, Required<EmergencyScenario>>> = {
  'data-corruption': {
    title: 'Data is wrong or gone (a faulty program, a dropped table)',
    rtoMinutes: 60,
    rpoMinutes: 15,
    steps: [
      'Stop what writes to the data, so that it gets no worse. Find out when it began.',
      'See which backups there are: `{lifeboat} list --target {target}`. Take one from before it began; its id is ' +
        'meant by <id>.',
      'If only a part is wrong, restore it beside what is live and copy from there: `{lifeboat} restore <id> ' +
        '--target {target} --only database --database <name> --tables <schema.table>`',
      'Look at the plan, change nothing: `{lifeboat} emergency-restore restore <id> --target {target} --dry-run`',
      'Restore: `{lifeboat} emergency-restore restore <id> --target {target}`. What is there is backed up first, ' +
        'and a replaced database is kept.',
    ],
  },
  'hardware-failure': {
    title: 'The machine or its disk is lost',
    rtoMinutes: 120,
    rpoMinutes: 60,
    steps: [
      'Set up a machine with the same major versions of PostgreSQL and Redis, empty, and with Node.js and ' +
        'lifeboat. Bring the configuration and the key from the recovery sheet.',
      'See whether it can reach everything: `{lifeboat} doctor --target {target}`',
      'See what can be restored: `{lifeboat} emergency-restore status --target {target}`',
      'Restore: `{lifeboat} emergency-restore restore --target {target}`. Missing roles are created; set their ' +
        'passwords where the backup has none.',
      'Take a backup of the new machine and prove it: `{lifeboat} backup --target {target}`',
    ],
  },
  'security-breach': {
    title: 'Somebody got in',
    rtoMinutes: 30,
    rpoMinutes: 5,
    steps: [
      'Cut the machine off the network; do not switch it off. Use another, clean machine for what follows.',
      'From there, see whether the log and the repository are whole: `{lifeboat} audit` and `{lifeboat} integrity`',
      'Withdraw the credentials that the repository is written with, and all passwords of the servers.',
      'Restore a backup from before the breach to clean servers: `{lifeboat} emergency-restore restore <id> ' +
        '--target {target}`',
      'Start a new data key, under a new encryption key: `{lifeboat} keys rotate`. What the intruder could read ' +
        'remains known.',
    ],
  },
};
