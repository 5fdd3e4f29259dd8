/** What `lifeboat hold`, `release` and `undelete` print. */
import { printable } from '../lib/printable.ts';
import type { HoldResult, UndeleteResult } from '../operations/cleanup/request.ts';
import type { View } from './view.ts';

export const holdView: View<HoldResult> = { schema: 'lifeboat.hold/v1', kind: 'action', text };
export const releaseView: View<HoldResult> = { schema: 'lifeboat.release/v1', kind: 'action', text };

export const undeleteView: View<UndeleteResult> = {
  schema: 'lifeboat.undelete/v1',
  kind: 'action',
  text: ({ id, held }) =>
    held
      ? `backup ${id} is back, and on hold; to let the retention policy decide again: lifeboat release ${id}`
      : `backup ${id} is back; the next cleanup may delete it again`,
};

function text({ id, held, reason, tags }: HoldResult): string {
  const why = reason === undefined || reason === '' ? '' : ` (${printable(reason)})`;
  const tagged = tags.length === 0 ? '' : `; tags: ${tags.map(printable).join(', ')}`;
  return held
    ? `backup ${id} is kept until it is released${why}${tagged}`
    : `the retention policy decides on backup ${id} again${tagged}`;
}
