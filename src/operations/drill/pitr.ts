/**
 * Drill of a recovery to a moment: a random one of the window, in a scratch cluster. What was committed up
 * to it must be there, and nothing of what was committed after it. Which transactions and rows these are is
 * read from the WAL beforehand, so that nothing has to be written into the cluster that is protected.
 */
import type { LoadedConfig } from '../../config/load.ts';
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { openArtifacts } from '../../repository/packs/artifact-reader.ts';
import type { Repository } from '../../repository/repository.ts';
import { countingReader, drillComponent } from './component.ts';
import { checkCluster } from './cluster.ts';
import { recordDrill, type DrilledPart } from './evidence.ts';
import { chooseMoment, type ChosenMoment, type MomentWindow } from './choose-moment.ts';
import { proveMoment } from './prove-moment.ts';
import { blaming, withRecovered } from './recover.ts';
import { DrillRecord } from './subject.ts';
import { acquireReadLease } from '../read-lease.ts';
import { baseBackups, wholeOnly } from '../pitr/choose-base.ts';
import { formatMicroseconds, recoveryTime } from '../pitr/moment.ts';
import { momentNote } from '../proof/proven-moment.ts';
import type { DrilledBackup, DrillRequest } from './request.ts';
import { restoreTimeMs } from '../proof/restore-time.ts';
import { counted } from '../../lib/units.ts';

/** One for each target with base backups, or for each id. Throws `not_found` (10) without any. */
export async function drillMoments(
  loaded: LoadedConfig,
  repository: Repository,
  request: DrillRequest,
  seed: string,
  context: RunContext,
): Promise<DrilledBackup[]> {
  const windows =
    request.ids.length > 0 ? await windowsOf(repository, request) : await windowsOfTargets(repository, request.target);
  const drilled: DrilledBackup[] = [];
  for (const window of windows) drilled.push(await drillMoment(loaded, repository, window, seed, context));
  return drilled;
}

async function windowsOf(repository: Repository, { ids, target }: DrillRequest): Promise<MomentWindow[]> {
  const windows: MomentWindow[] = [];
  for (const wanted of ids) {
    const { backup } = await repository.resolve(wanted, { target });
    if (backup.manifest === undefined) {
      throw new LifeboatError('integrity', `backup ${backup.id} cannot be used: ${backup.reason ?? 'it is damaged'}`, {
        hint: 'lifeboat list shows the others; without an id the drill chooses',
      });
    }
    const all = await baseBackups(repository, backup.manifest.target);
    const base = all.find(({ manifest }) => manifest.id === backup.id);
    if (base === undefined) {
      throw new LifeboatError('usage', `backup ${backup.id} holds no base backup that counts`, {
        hint: 'lifeboat list shows which do; without an id the drill chooses',
      });
    }
    windows.push({ target: base.manifest.target, bases: all, only: base });
  }
  return windows;
}

async function windowsOfTargets(repository: Repository, target: string | undefined): Promise<MomentWindow[]> {
  const names = new Set<string>();
  for await (const { manifest, trust } of repository.listManifests()) {
    if (
      trust === 'sealed' &&
      manifest?.components.some(({ kind }) => kind === 'base') === true &&
      (target === undefined || manifest.target === target)
    ) {
      names.add(manifest.target);
    }
  }
  if (names.size === 0) {
    throw new LifeboatError(
      'not_found',
      `there is no base backup${target === undefined ? '' : ` of target ${target}`} to recover from`,
      { hint: 'lifeboat backup base takes one' },
    );
  }
  return Promise.all(
    [...names].map(async (name) => ({
      target: name,
      bases: wholeOnly(await baseBackups(repository, name)),
      only: undefined,
    })),
  );
}

async function drillMoment(
  loaded: LoadedConfig,
  repository: Repository,
  window: MomentWindow,
  seed: string,
  context: RunContext,
): Promise<DrilledBackup> {
  const startedMs = Date.now();
  context.emit({ type: 'step', message: `drill of a recovery to a moment: target ${window.target}, seed ${seed}` });
  const record = new DrillRecord();
  // Until it is known from where the recovery starts, it is a matter of the newest one.
  let base = window.only ?? window.bases[0];
  if (base === undefined) throw new LifeboatError('not_found', `there is no base backup of target ${window.target}`);
  let chosen: ChosenMoment | undefined;
  let bytes = (): number => 0;
  const drilled = await drillComponent(
    base.component,
    record,
    () => bytes(),
    async (inner) => {
      chosen = await record.step('choose the moment', () => chooseMoment(loaded, repository, window, seed, inner));
      const { manifest, component } = chosen.plan;
      base = window.bases.find((each) => each.manifest.id === manifest.id) ?? base;
      await using _ = await acquireReadLease(repository, { command: 'drill', parents: [manifest.id] }, inner);
      const counting = countingReader(
        openArtifacts({
          storage: repository.storage,
          dataKey: await repository.dataKeyOf(manifest),
          artifacts: component.artifacts,
        }),
      );
      bytes = counting.bytes;
      await recoverTo(loaded, repository, chosen, counting.reader, record, inner);
    },
    context,
  );
  const moment = chosen === undefined ? undefined : formatMicroseconds(chosen.moment.atUs);
  const part: DrilledPart = { record, drilled };
  const { manifest, seal } = base;
  const { id, target } = manifest;
  const notes = [...(moment === undefined ? [] : [momentNote(moment)]), `seed ${seed}`];
  const evidence =
    drilled.result === 'impossible'
      ? undefined
      : await recordDrill(repository, { id, seal, manifest }, [part], { level: 'pitr', startedMs, notes }, context);
  return {
    id,
    target,
    moment,
    seed,
    result: drilled.result === 'equal' ? 'proven' : drilled.result,
    durationMs: Date.now() - startedMs,
    restoreMs: restoreTimeMs(drilled.steps),
    components: [drilled],
    evidence,
  };
}

type Reader = Parameters<typeof withRecovered>[0]['reader'];

async function recoverTo(
  { config }: LoadedConfig,
  repository: Repository,
  { plan, moment }: ChosenMoment,
  reader: Reader,
  record: DrillRecord,
  context: RunContext,
): Promise<void> {
  const { facts, inventory, run, place, shown } = plan;
  const at = formatMicroseconds(moment.atUs);
  context.emit({ type: 'step', component: 'base', message: `recovering ${plan.manifest.id} to ${at}` });
  const target = {
    recovery_target_time: recoveryTime(moment.atUs),
    recovery_target_inclusive: 'on',
    recovery_target_timeline: String(run.timeline),
  };
  await withRecovered(
    { config, repository, reader, facts, inventory, run, place, target, walBytes: shown.segments.bytes },
    record,
    context,
    async (server) => {
      // A held server keeps locked what a transaction under way had locked; whoever looks there waits for ever.
      await blaming('the recovered cluster cannot be promoted', () => server.promote(context.signal), context);
      await record.step('compare moment', () => proveMoment(server, moment, record, context));
      await checkCluster(
        { server, facts, programs: place.programs, jobs: config.jobs, isAtBase: false },
        record,
        context,
      );
    },
  );
  record.summary =
    `recovered to ${at}: ${counted(record.counts['transactionsThere'] ?? 0, 'transaction')} before it and ` +
    `${counted(record.counts['rowsThere'] ?? 0, 'row')} of them there, ` +
    `${counted(record.counts['transactionsAbsent'] ?? 0, 'transaction')} after it not`;
}
