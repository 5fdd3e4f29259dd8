/** What the manual says of lifeboat daemon. */
import { configFile, keyFile, type Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Runs in the foreground until it is stopped, and runs the schedules of the configuration that are switched on ' +
      'when they are due, as lifeboat schedule run --slot does: each slot at most once over all hosts that share ' +
      'the repository. So several daemons, and crontabs, may be at work on one repository: who comes first runs the ' +
      'slot, and another one takes it over where that one dies.',
    'Each job has a process of its own; at most maxConcurrentBackups run at once, the others wait. What fails for ' +
      'a reason that may pass is tried again after 1, 5 and 25 minutes, as often as its schedule says (attempts); ' +
      'so is a job whose process dies, or tells nothing for hangTimeoutSeconds and is killed. A job in which no ' +
      'byte moves for that time ends itself, and one that takes longer than its timeoutSeconds, too. Moments that ' +
      'passed while no daemon ran are caught up with as missed says. Where the repository cannot be reached it is ' +
      'tried again until it can.',
    'A clock that is set, forward or back, and a machine that sleeps, are noticed within half a minute: what is ' +
      'due is worked out anew each time, and what has run, the repository knows.',
    'SIGHUP reads the configuration anew. One that is wrong is told, and changes nothing: jobs go on by the old ' +
      'one, whatever the file holds meanwhile.',
    'SIGTERM and SIGINT: no job begins any more; those that run may go on for --grace, and are then ended as by ' +
      'Ctrl-C: they put away what they have begun, and their slot is recorded as aborted, so that it is run again ' +
      'by whoever comes next. A second signal ends them at once, a third kills them. Jobs end in good order also ' +
      'where the daemon itself is killed.',
    'Under systemd (Type=notify, NotifyAccess=all) it says when it is ready, reloading and stopping, what runs, ' +
      'and keeps its watchdog content only while its loop turns; for that it needs the program systemd-notify. The ' +
      'unit should have KillMode=mixed, and a TimeoutStopSec that is longer than --grace by 60 s.',
    '--listen answers three questions over HTTP, to whoever reaches that address (no password is asked for, so only ' +
      'one of this machine is taken unless --listen-anywhere stands beside it). /healthz: does the loop turn? ' +
      '/readyz: and has the repository answered within a quarter of an hour, is the configuration that was to be ' +
      'read last in force, and is it not stopping? Both say 200, or 503 and what is wrong. /metrics has, in ' +
      "Prometheus' text format, what is measured: of the daemon lifeboat_daemon_loop_timestamp_seconds, " +
      'lifeboat_daemon_config_current, when it looks at each schedule next, running jobs with the bytes they have ' +
      'moved, attempts by outcome; of the repository, looked at every five minutes and after each job, what ' +
      'lifeboat-metrics(1) says. Where the repository does not answer, that is left out, and ' +
      'lifeboat_repository_up is 0.',
    'It logs to standard error: plain lines on a terminal, a JSON object a line elsewhere (time, level, ' +
      'component, message), or as --log-format says. The component is the schedule. logLevel and ' +
      'logFormat count as they were at the start.',
  ],
  examples: [
    { line: 'lifeboat daemon --config /etc/lifeboat/lifeboat.config.json', purpose: 'run what is due, until Ctrl-C' },
    { line: 'lifeboat daemon --listen 127.0.0.1:9187', purpose: 'with health and metrics for this machine' },
    { line: 'lifeboat daemon --grace 10m', purpose: 'for a service that may take its time to stop' },
  ],
  files: [configFile, keyFile],
  exits: {
    done: 'stopped by a signal, in good order',
    usage: 'a flag, an argument or the configuration is wrong; nothing was begun',
  },
  environment: [
    ['NOTIFY_SOCKET', 'where systemd is told how the daemon is; set by systemd'],
    ['WATCHDOG_USEC, WATCHDOG_PID', "systemd's watchdog; set by systemd"],
  ],
  seeAlso: ['lifeboat-metrics(1)', 'lifeboat-schedule(1)', 'lifeboat-status(1)', 'systemd.service(5)'],
};
