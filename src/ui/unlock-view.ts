/** What `lifeboat unlock` prints. */
import type { Lease, UnlockResult } from '../operations/setup/request.ts';
import { shownTime } from './sizes.ts';
import type { View } from './view.ts';

export const unlockView: View<UnlockResult> = {
  schema: 'lifeboat.unlock/v1',
  kind: 'action',
  text: ({ broken, alive }) => {
    if (broken.length === 0 && alive.length === 0) return 'nothing is locked';
    return [
      ...broken.map((lease) => `removed: ${describe(lease)}`),
      ...alive.map((lease) => `still held: ${describe(lease)}`),
    ].join('\n');
  },
};

function describe({ scope, command, host, pid, user, since }: Lease): string {
  return `${scope} (${command} by ${user} on ${host}, process ${pid}, since ${shownTime(since)})`;
}
