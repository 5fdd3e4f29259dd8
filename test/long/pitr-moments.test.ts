/**
 * Recoveries to random moments of a busy cluster: at each just the rows that were committed by then, in the order of
 * the log; amcheck finds nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PitrRequest } from '../../src/operations/pitr/request.ts';
import { formatMicroseconds } from '../../src/operations/pitr/moment.ts';
import { parseLsn } from '../../src/source/postgres/wal/lsn.ts';
import { type LoggedEnd, startPitrCluster } from '../helpers/cluster/pitr-cluster.ts';
import { assertState, expectedBefore, prepareWriter, writeFor } from '../helpers/cluster/pitr-writer.ts';

for (const { segmentMegabytes, moments } of [
  { segmentMegabytes: 1, moments: 20 },
  { segmentMegabytes: 16, moments: 10 },
]) {
  test(
    `segments of ${segmentMegabytes} MB: ${moments} random moments, a ` +
      'name, positions and transactions, with them and without',
    async () => {
      await using cluster = await startPitrCluster({ segmentMegabytes });
      await prepareWriter(cluster);
      await cluster.base();
      const written = await writeFor(cluster, 20);
      assert.ok(
        written.rows.size > 500 && written.others.size > 500,
        `${written.rows.size} rows, ${written.others.size} others`,
      );
      const ofWriter = written.ends.filter(({ xid }) => written.rows.has(xid));
      const some = (): LoggedEnd => {
        const end = ofWriter[Math.floor(Math.random() * (ofWriter.length - 1))];
        assert.ok(end);
        return end;
      };
      const check = async (
        to: string,
        stops: (end: LoggedEnd) => boolean,
        more: Partial<PitrRequest> = {},
      ): Promise<void> => {
        const expected = expectedBefore(written, stops);
        try {
          await cluster.recovered(to, async (connection, env) => assertState(cluster, connection, env, expected), more);
        } catch (error) {
          throw new Error(`to ${to} ${JSON.stringify(more)}`, { cause: error });
        }
      };
      const [first, last] = [ofWriter[0]?.atUs ?? 0n, ofWriter.at(-1)?.atUs ?? 0n];
      for (let n = 0; n < moments; n++) {
        // Half of them the very microsecond of a commit.
        const atUs =
          n % 2 === 0 ? some().atUs : first + (BigInt(Math.floor(Math.random() * 1e6)) * (last - first)) / 1_000_000n;
        const inclusive = n % 4 < 2;
        await check(formatMicroseconds(atUs), (end) => (inclusive ? end.atUs > atUs : end.atUs >= atUs), { inclusive });
      }
      const [one, two] = [some(), some()];
      const after =
        (lsn: string) =>
        (end: LoggedEnd): boolean =>
          parseLsn(end.lsn) > parseLsn(lsn);
      const from =
        (lsn: string) =>
        (end: LoggedEnd): boolean =>
          parseLsn(end.lsn) >= parseLsn(lsn);
      await check(`xid:${one.xid}`, after(one.lsn));
      await check(`xid:${one.xid}`, from(one.lsn), { inclusive: false });
      await check(`lsn:${two.lsn}`, after(two.lsn));
      await check(`lsn:${two.lsn}`, from(two.lsn), { inclusive: false });
      await check('name:in between', from(written.pointLsn));
      await check('immediate', () => true);
    },
  );
}
