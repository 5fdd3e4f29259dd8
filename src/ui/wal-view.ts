/** What `lifeboat wal push` and `fetch` print: PostgreSQL writes it into its log, so good runs are silent. */
import type { WalFetchResult, WalPushResult, WalRecipeResult } from '../operations/wal-requests.ts';
import type { View } from './view.ts';

export const walPushView: View<WalPushResult> = {
  schema: 'lifeboat.wal-push/v1',
  kind: 'action',
  text: ({ along }) => (along.length === 0 ? '' : `archived ${along.length} more files that were ready`),
  exitCode: () => 0,
};

export const walFetchView: View<WalFetchResult> = {
  schema: 'lifeboat.wal-fetch/v1',
  kind: 'action',
  text: ({ name, from }) => (from === 'unfinished' ? `${name} is delivered as far as the stream had it: the archive ends here` : ''),
  // Not through an error: 1 is the one code that tells the server that the log ends here.
  exitCode: ({ outcome }) => (outcome === 'absent' ? 1 : 0),
};

export const walRecipeView: View<WalRecipeResult> = {
  schema: 'lifeboat.init-archive-command/v1',
  kind: 'query',
  text: ({ archiveCommand, restoreCommand }) => `archive_mode = on\n${archiveCommand}\n${restoreCommand}`,
};
