/** What the log of a recovering server says of its way and of its end. */
import { LifeboatError } from '../../../lib/errors.ts';

/** What the server said when its target was reached, such as "recovery stopping before …"; undefined: not yet. */
export function stopOf(log: string): string | undefined {
  return /LOG: {2}(recovery stopping [^\n]*|archive recovery complete)/.exec(log)?.[1];
}

/** It takes sessions. */
export function isReady(log: string): boolean {
  return /LOG: {2}database system is ready to accept (?:read[- ]only )?connections/.test(log);
}

/** Where the last record that it replayed begins, once its recovery is done. */
export function replayedTo(log: string): string | undefined {
  return /redo done at ([0-9A-F]+\/[0-9A-F]+)/.exec(log)?.[1];
}

/**
 * The error that a server which has ended stands for: `window` (17) if the WAL ended before its target, else `source`.
 */
export function failureOf(log: string): LifeboatError {
  const lines = log.split('\n').filter((line) => /FATAL|PANIC|insufficient|invalid value|unrecognized/.test(line));
  const last = lines.slice(-3).join('; ') || log.trim().split('\n').slice(-3).join('; ');
  if (/recovery ended before configured recovery target was reached/.test(log)) {
    return new LifeboatError('window', 'the archived WAL ends before the target', {
      facts: { log: last, replayedTo: replayedTo(log) },
    });
  }
  const lacksLibrary = /could not load library|could not access file/.test(log);
  const hint = lacksLibrary ? 'install the extensions that the cluster uses' : undefined;
  return new LifeboatError('source', `the recovering server has ended: ${last}`, { hint });
}
