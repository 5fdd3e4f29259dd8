/** How metrics are shown: in Prometheus' text format; what was written or sent elsewhere is not printed as well. */
import { exposition } from '../operations/metrics/exposition.ts';
import type { MetricsResult } from '../operations/metrics/request.ts';
import type { View } from './view.ts';

export const metricsView: View<MetricsResult> = {
  schema: 'lifeboat.metrics/v1',
  kind: 'query',
  text: async ({ metrics, told }) => (told.length > 0 ? '' : (await exposition(metrics)).trimEnd()),
};
