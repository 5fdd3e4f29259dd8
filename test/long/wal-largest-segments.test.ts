/** A cluster with the largest segments that there are. */
import { test } from 'node:test';
import { everySegmentWay } from '../helpers/cluster/segment-sizes.ts';

test('segments of 1 GB are pushed, streamed, fetched and recovered', async () => everySegmentWay(1024));
