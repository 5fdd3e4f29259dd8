/** What the manual says of lifeboat metrics. */
import { configFile, keyFile, repositoryExits, runHistory, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Prints what lifeboat-status(1) finds as metrics in the text format of Prometheus: for each target and component ' +
      'when the newest backup and the newest proven one were taken, how long a restore takes, which moments can be ' +
      'recovered, how far the log lags behind, for each schedule when it was due, when it ran, and since when it is ' +
      'overdue (one that never ran included), and the room in the repository. All units are base units; labels are ' +
      'names of the configuration.',
    'Moments (…_timestamp_seconds) go on being true when nobody looks any more: alert on time() minus them. Where ' +
      'the repository cannot be looked at, lifeboat_repository_up is 0, nothing of it is shown, in place of what was ' +
      'seen last, and the exit code tells why. Rules for alerts and a dashboard are in examples/prometheus.',
    'Where a daemon runs, its --listen answers /metrics with the same, and with what it knows of its jobs. --serve ' +
      'does so without a daemon; neither looks at the repository for each scrape. With metrics.textfile, or where ' +
      'receivers are configured, each command that changes something (backup, restore, pitr, validate, integrity, ' +
      'cleanup, schedule run) writes and sends them at its end, whether it ended well or not.',
  ],
  examples: [
    { line: 'lifeboat metrics', purpose: 'what there is to scrape' },
    { line: 'lifeboat metrics --serve 127.0.0.1:9187', purpose: 'answer a Prometheus of this machine' },
    {
      line: 'lifeboat metrics --textfile /var/lib/prometheus/node-exporter/lifeboat.prom',
      purpose: "from crontab, for node_exporter's textfile collector",
    },
    { line: 'lifeboat metrics --push', purpose: 'send them to the receivers of the configuration' },
  ],
  files: [configFile, keyFile, runHistory],
  exits: {
    done: 'the repository was looked at, and the metrics were printed, written or sent',
    ...repositoryExits,
    not_found: 'there is no repository; the metrics say that it is not up',
  },
  seeAlso: ['lifeboat-status(1)', 'lifeboat-daemon(1)', 'lifeboat-schedule(1)'],
};
