/** From what was found to a verdict: reasons, each with a stable name, a weight and the next command. Pure. */
import { counted, formatBytes } from '../../lib/units.ts';
import { hiddenWarning } from '../../repository/deletion/hidden-manifests.ts';
import type { Limits } from './limits.ts';
import type { StatusReason } from './request.ts';
import type { Survey } from './survey.ts';
import { judgeSlots } from './judge-slots.ts';
import { judgeTarget } from './judge-target.ts';
import { judgeWal } from './judge-wal.ts';
import { degraded, unhealthy } from './reason.ts';
import { manifestKey } from '../../repository/object-keys.ts';
import { renewalMs } from '../renewal.ts';

/** Everything that is not as it should be, unhealthy first; acknowledged or not. */
export function judge(survey: Survey, limits: Limits): StatusReason[] {
  const reasons = [
    ...ofObjects(survey),
    ...ofTrust(survey),
    ...ofLeases(survey),
    ...ofStorage(survey, limits),
    ...ofCertificates(survey),
    ...survey.schedules.flatMap(judgeSlots),
    ...survey.wal.flatMap((wal) => judgeWal(wal, survey.nowMs, limits.backupDelayMs)),
    ...survey.targets.flatMap((target) => judgeTarget(target, survey.nowMs, limits)),
  ];
  return reasons.toSorted((a, b) => Number(b.weight === 'unhealthy') - Number(a.weight === 'unhealthy'));
}

function ofObjects({ damaged, hidden, past, targets }: Survey): StatusReason[] {
  // That they are missed is no news.
  const gone = new Set(hidden.map(({ id }) => manifestKey(id)));
  const missed = past.filter(({ object }) => !gone.has(object));
  const rollbacks = missed.filter(({ kind }) => kind === 'rollback').toSorted((a, b) => (a.object < b.object ? 1 : -1));
  const reasons = [
    ...damaged.map(({ id, object, reason }) =>
      unhealthy(`damaged:${id}`, `${object} cannot be used: ${reason}`, `lifeboat validate ${id}`),
    ),
    ...hidden.map((each) =>
      unhealthy(`hidden:${each.id}`, hiddenWarning(each).message, `lifeboat undelete ${each.id}`),
    ),
    ...missed
      .filter(({ kind }) => kind !== 'rollback')
      .map(({ kind, object, problem }) =>
        unhealthy(`${kind}:${object}`, `${object}: ${problem}`, 'lifeboat integrity'),
      ),
    ...ofRollbacks(rollbacks),
  ];
  if (targets.length > 0) return reasons;
  return [...reasons, unhealthy('no-target', 'nothing to back up is configured', 'lifeboat init')];
}

/** One reason for all that vanished at once. */
function ofRollbacks([newest, ...others]: Survey['past']): StatusReason[] {
  if (newest === undefined) return [];
  const { object, problem } = newest;
  const ids = others.flatMap(({ backups }) => backups).slice(0, 3);
  const more = others.length > ids.length ? ', …' : '';
  const also =
    others.length === 0 ? '' : `; so are ${counted(others.length, 'other')} that it has seen: ${ids.join(', ')}${more}`;
  return [unhealthy(`rollback:${object}`, `${object} is gone: ${problem}${also}`, 'lifeboat integrity')];
}

function ofTrust({ untrusted, unchecked, keys }: Survey): StatusReason[] {
  const reasons: StatusReason[] = [];
  if (unchecked.length > 0) {
    const message = `${counted(unchecked.length, 'backup')} cannot be checked with the key that is configured`;
    reasons.push(degraded('unchecked', message, 'lifeboat keys list'));
  }
  const [first] = untrusted;
  if (first !== undefined) {
    const some = untrusted.slice(0, 3).join(', ');
    const message = `${counted(untrusted.length, 'backup')} not signed by a trusted writer: ${some}`;
    reasons.push(degraded(`untrusted:${first}`, message, `lifeboat show ${first}`));
  }
  const ofKeys = keys.map(({ id, problem }) =>
    degraded(`key:${id}`, `data key ${id} ${problem}`, 'lifeboat keys list'),
  );
  return [...reasons, ...ofKeys];
}

function ofLeases({ running }: Survey): StatusReason[] {
  const dead = running.filter(({ isAlive }) => !isAlive);
  return dead.map(({ scope, command, since }) => {
    const message = `a dead run of ${command} still holds ${scope}, since ${since}`;
    return degraded(`stale-lease:${scope}:${since}`, message, 'lifeboat unlock');
  });
}

function ofStorage({ storage }: Survey, { storageShare, storageBudgetBytes }: Limits): StatusReason[] {
  const { storedBytes, freeBytes, capacityBytes } = storage;
  const reasons: StatusReason[] = [];
  if (freeBytes !== undefined && capacityBytes !== undefined) {
    const used = capacityBytes - freeBytes;
    reasons.push(...ofShare('storage', used, capacityBytes, storageShare, "the repository's file system"));
  }
  if (storageBudgetBytes !== undefined) {
    reasons.push(...ofShare('budget', storedBytes, storageBudgetBytes, storageShare, 'the budget'));
  }
  return reasons;
}

function ofCertificates({ certificates, nowMs }: Survey): StatusReason[] {
  return certificates
    .filter(({ endsMs }) => endsMs - nowMs < renewalMs)
    .map(({ target, path, endsMs }) => {
      const isOver = endsMs <= nowMs;
      const when = `${isOver ? 'ended' : 'ends'} on ${new Date(endsMs).toISOString()}`;
      const message = `the certificate ${path}, which connections of ${target} need, ${when}`;
      return (isOver ? unhealthy : degraded)(`certificate:${target}:${path}`, message, 'lifeboat doctor', target);
    });
}

function ofShare(id: string, used: number, of: number, limit: number, what: string): StatusReason[] {
  const share = of === 0 ? 1 : used / of;
  if (share < limit) return [];
  const percent = Math.floor(share * 100);
  const left = formatBytes(Math.max(0, of - used));
  const message = `${what} is ${percent} % full (limit ${Math.round(limit * 100)} %, ${left} left)`;
  // In steps of five: what was acknowledged at 85 % is not at 90 %.
  const name = `${id}:${Math.floor(percent / 5) * 5}`;
  return [(share >= 0.97 ? unhealthy : degraded)(name, message, 'lifeboat cleanup --dry-run')];
}
