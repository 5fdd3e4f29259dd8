/** Clusters with the smallest segments and with large ones. The largest are in test/long. */
import { test } from 'node:test';
import { everySegmentWay } from '../helpers/cluster/segment-sizes.ts';

for (const segmentMegabytes of [1, 64]) {
  test(`segments of ${segmentMegabytes} MB are pushed, streamed, fetched and recovered`, async () =>
    everySegmentWay(segmentMegabytes));
}
