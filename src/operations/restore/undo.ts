/** Takes the swap of a database back. */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { expandUtc } from '../../lib/time.ts';
import { withMaintenance } from '../../source/postgres/server/maintenance.ts';
import { beforeName, undoneName } from '../../source/postgres/restore/names.ts';
import { undoSwap } from '../../source/postgres/restore/swap.ts';
import { audited } from '../audit/audited.ts';
import { nowhere } from './step.ts';
import type { UndoRestoreOptions, UndoRestoreRequest, UndoRestoreResult } from './request.ts';
import { chooseTarget } from '../targets.ts';
import type { Operation } from '../operation.ts';
import { given, targetNeeds } from '../complete.ts';

export const undoRestore = audited('restore --undo', takeBack);

export const undoRestoreOperation: Operation<UndoRestoreOptions, UndoRestoreRequest, UndoRestoreResult> = {
  need: targetNeeds,
  complete: (options, { confirm }) => ({ dryRun: false, confirm, ...given(options) }),
  run: undoRestore,
};

async function takeBack(
  loaded: LoadedConfig,
  request: UndoRestoreRequest,
  context: RunContext,
): Promise<UndoRestoreResult> {
  const url = chooseTarget(loaded, request.target).postgres?.url;
  if (url === undefined) throw nowhere('PostgreSQL', 'DATABASE_URL');
  const names = await withMaintenance({ url, except: [request.kept], signal: context.signal }, async (client) =>
    (await client.query('SELECT datname FROM pg_database')).map((row) => row['datname'] ?? ''),
  );
  const live = liveNameOf(request.kept, names);
  const at = new Date();
  if (request.dryRun) return { outcome: 'planned', database: live, setAside: undoneName(live, at) };
  await request.confirm({
    name: live,
    consequences: [
      `sessions in database "${live}" are ended`,
      `"${request.kept}" takes its place; what was written to "${live}" since the restore is put aside`,
    ],
  });
  const { keptAs } = await undoSwap({ url, live, keptAs: request.kept, at }, context);
  return { outcome: 'done', database: live, setAside: keptAs };
}

/** The kept name holds the live one, shortened if it was long, and the time of the swap. */
function liveNameOf(kept: string, names: readonly string[]): string {
  if (!names.includes(kept)) {
    const others = names.filter((name) => /_before_\d{8}T\d{6}$/.test(name));
    throw new LifeboatError('not_found', `there is no database "${kept}"`, {
      state: 'nothing was changed',
      hint: others.length === 0 ? 'no swap has kept one on this server' : `kept are: ${others.join(', ')}`,
    });
  }
  const stamp = /_before_(\d{8}T\d{6})$/.exec(kept);
  if (stamp === null) {
    throw new LifeboatError('usage', `"${kept}" is not the name of a database that a swap has kept`, {
      state: 'nothing was changed',
    });
  }
  const at = new Date(expandUtc(stamp[1] ?? ''));
  const [live, other] = names.filter((name) => name !== kept && beforeName(name, at) === kept);
  if (live === undefined || other !== undefined) {
    throw new LifeboatError('usage', `cannot tell which database "${kept}" was`, {
      state: 'nothing was changed',
      hint: 'rename by hand: ALTER DATABASE … RENAME TO …',
    });
  }
  return live;
}
