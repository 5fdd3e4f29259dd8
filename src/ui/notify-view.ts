/** What `lifeboat notify` prints. */
import { printable } from '../lib/printable.ts';
import { counted } from '../lib/units.ts';
import type { NotifyFlushResult, NotifyListResult, NotifyTestResult } from '../operations/notify/request.ts';
import { shownTime } from './sizes.ts';
import type { View } from './view.ts';

export const notifyTestView: View<NotifyTestResult> = {
  schema: 'lifeboat.notify-test/v1',
  kind: 'action',
  text: ({ channels }) =>
    channels
      .map(({ name, type, arrived, problem = '' }) => `${name} (${type}): ${arrived ? 'sent' : printable(problem)}`)
      .join('\n'),
};

export const notifyFlushView: View<NotifyFlushResult> = {
  schema: 'lifeboat.notify-flush/v1',
  kind: 'action',
  text: ({ channels }) =>
    channels
      .map(({ name, sent, waiting, problem }) => {
        const why = problem === undefined ? '' : `: ${printable(problem)}`;
        return `${name}: ${sent} sent, ${waiting} left${why}`;
      })
      .join('\n'),
};

export const notifyListView: View<NotifyListResult> = {
  schema: 'lifeboat.notify-list/v1',
  kind: 'query',
  text: ({ channels, incidents }) =>
    [
      ...(incidents.length === 0 ? ['nothing is wrong that was told'] : incidents.map(incidentText)),
      ...(channels.length === 0 ? ['no channel is configured'] : channels.map(channelText)),
    ].join('\n'),
};

function incidentText({ key, since, count, severity, title, acknowledgedAt }: Incident): string {
  const seen = count === 1 ? 'seen once' : `seen ${count} times`;
  const known = acknowledgedAt === undefined ? '' : `, acknowledged ${shownTime(acknowledgedAt)}`;
  return `${severity}: ${printable(title)} (${printable(key)}; since ${shownTime(since)}, ${seen}${known})`;
}

function channelText({ name, type, waiting, failingSince, problem = '', dropped }: Channel): string {
  const failing =
    failingSince === undefined ? '' : `; has failed since ${shownTime(failingSince)}: ${printable(problem)}`;
  const lost = dropped === 0 ? '' : `; ${counted(dropped, 'message')} given up`;
  const left = waiting === 0 ? 'nothing waits' : `${counted(waiting, 'message')} not sent yet`;
  return `${name} (${type}): ${left}${failing}${lost}`;
}

type Incident = NotifyListResult['incidents'][number];
type Channel = NotifyListResult['channels'][number];
