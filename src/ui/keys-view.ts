/** What `lifeboat keys` prints. */
import type { KeysChangeResult, KeysGenerateResult, KeysListResult } from '../operations/setup/request.ts';
import { shownTime } from './sizes.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export const keysGenerateView: View<KeysGenerateResult> = {
  schema: 'lifeboat.keys-generate/v1',
  kind: 'query',
  // The bare key first, so that it can be piped into a vault.
  text: ({ key, file, recipient }) =>
    [
      ...(key === undefined ? [] : [key]),
      ...(file === undefined ? [] : [`the key is in ${file}`]),
      ...(recipient === undefined ? [] : [`# recipient: ${recipient}`]),
    ].join('\n'),
};

export const keysListView: View<KeysListResult> = {
  schema: 'lifeboat.keys-list/v1',
  kind: 'query',
  text: async ({ repository, keys }) => {
    if (keys.length === 0) return `no data keys in ${repository}: it is not encrypted`;
    const rows = keys.map((key) => [
      key.id,
      shownTime(key.createdAt),
      key.opens ? 'yes' : 'no',
      key.current ? 'yes' : '',
      key.recipients.join(', '),
    ]);
    return columns(['DATA KEY', 'MADE (UTC)', 'OPENS HERE', 'CURRENT', 'FOR'], rows);
  },
};

export const keysChangeView: View<KeysChangeResult> = {
  schema: 'lifeboat.keys-change/v1',
  kind: 'action',
  text: ({ changed, unchanged, current }) =>
    [
      `changed: ${changed.length === 0 ? 'nothing' : changed.join(', ')}`,
      ...(unchanged.length === 0 ? [] : [`could not be opened, so left as they are: ${unchanged.join(', ')}`]),
      ...(current === undefined ? [] : [`written under from now on: ${current}`]),
    ].join('\n'),
};
