/** The slot of a receiver: made, checked, removed. */
import type { LoadedConfig } from '../../../config/load.ts';
import { LifeboatError, messageOf } from '../../../lib/errors.ts';
import type { RunContext } from '../../../lib/events.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';
import type { Repository } from '../../../repository/repository.ts';
import { createSlot, dropSlot, readServer, type ReceiverServer } from '../../../source/postgres/server/receiver.ts';
import { audited } from '../../audit/audited.ts';
import type { WalStreamReport, WalStreamRequest } from '../request.ts';

/** Also for a run that was stopped. */
const dropLimitMs = 10_000;

/** One run of the receiver. */
export interface StreamRun {
  readonly loaded: LoadedConfig;
  readonly request: WalStreamRequest;
  readonly repository: Repository;
  /** As it was found at the start. */
  readonly server: ReceiverServer;
  readonly url: PostgresUrl;
  readonly target: string;
  /** pg_receivewal. */
  readonly program: string;
  /** Log has come over the slot. */
  readonly progress: { hasStreamed: boolean };
}

/** The server with its slot, made where that is asked for. Throws as checkSlot. */
export async function withSlot(
  server: ReceiverServer,
  url: PostgresUrl,
  { slot, createSlot: create }: WalStreamRequest,
  { signal, emit }: RunContext,
): Promise<ReceiverServer> {
  if (server.slot !== undefined || !create) {
    checkSlot(server, slot);
    return server;
  }
  await createSlot(url, slot, signal);
  emit({
    type: 'step',
    component: 'wal',
    message:
      `made the replication slot ${slot}: from now on the server keeps its log until it is received; to remove it: ` +
      `lifeboat wal stream --drop-slot --slot ${slot}`,
  });
  return readServer(url, slot, signal);
}

/**
 * Does the work of a run that has made its slot. Where that ends before any log has come, the slot goes with it: nobody
 * would fetch what the server keeps for it.
 */
export async function orDropSlot(
  run: StreamRun,
  work: () => Promise<WalStreamReport>,
  { emit }: RunContext,
): Promise<WalStreamReport> {
  const { url, request, progress } = run;
  const drop = async (): Promise<void> => {
    if (progress.hasStreamed) return;
    const slot = `the replication slot ${request.slot}`;
    const message = await dropSlot(url, request.slot, AbortSignal.timeout(dropLimitMs)).then(
      () => `removed ${slot} again: nothing was received over it`,
      (error: unknown) =>
        `${slot} was made, and cannot be removed again (${messageOf(error)}): the server keeps its log for it until ` +
        `lifeboat wal stream --drop-slot --slot ${request.slot}`,
    );
    emit({ type: message.startsWith('removed') ? 'step' : 'warning', component: 'wal', message });
  };
  const report = await work().catch(async (error: unknown) => {
    await drop();
    throw error;
  });
  if (report.state === 'skipped') await drop();
  return report;
}

/**
 * Throws `source` (13) for a slot that is missing, `window` (17) for one that has lost log, `usage` for one of another
 * kind.
 */
export function checkSlot({ slot }: ReceiverServer, name: string): void {
  const state = 'nothing is received; what is in the repository stays as it is';
  if (slot === undefined) {
    throw new LifeboatError('source', `the server has no replication slot ${name}`, {
      state,
      hint: `make it once: lifeboat wal stream --create-slot${name === 'lifeboat' ? '' : ` --slot ${name}`}`,
    });
  }
  if (!slot.isPhysical) {
    throw new LifeboatError('usage', `the replication slot ${name} is a logical one`, {
      state,
      hint: 'name another one by --slot',
    });
  }
  if (slot.walStatus !== 'lost') return;
  throw new LifeboatError(
    'window',
    `the server has given up the replication slot ${name}: it kept more log than max_slot_wal_keep_size allows`,
    {
      state,
      hint:
        'lifeboat wal stream --drop-slot; lifeboat wal stream ' +
        '--create-slot --accept-gap; and at once: lifeboat backup base',
    },
  );
}

/**
 * Where it cannot be told what log the server still has, a slot that may have been set back to what is removed is made
 * anew.
 */
export async function renewSlot({ server, url, request }: StreamRun, { signal }: RunContext): Promise<void> {
  if (server.oldest !== undefined) return;
  await dropSlot(url, request.slot, signal);
  await createSlot(url, request.slot, signal);
}

/** Removes the slot, after a question. */
export const removeSlot = audited(
  'wal stream --drop-slot',
  async (
    _: LoadedConfig,
    { slot, url, target, confirm }: WalStreamRequest & { readonly url: PostgresUrl; readonly target: string },
    { signal }: RunContext,
  ): Promise<WalStreamReport> => {
    await confirm({
      name: slot,
      consequences: [
        `the replication slot ${slot} of target ${target} will be removed: the server no longer keeps log that ` +
          'has not been received',
      ],
    });
    const state = (await dropSlot(url, slot, signal)) ? 'slot-dropped' : 'slot-absent';
    return { state, target, slot, at: new Date().toISOString(), segments: 0, partials: 0, spoolBytes: 0, warnings: [] };
  },
);
