/** Metrics in the configuration: the label of a service, a file for a collector, and where they are pushed to. */
import { z } from 'zod';
import { path, secretSchema } from './schema-pieces.ts';

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, 'must be the name of an HTTP header');

export const metricsSchema = z.strictObject({
  service: z
    .string()
    .min(1)
    .max(100)
    .default('lifeboat')
    .describe('what the label "service" says in backup_* metrics, under the names that other backup systems use'),
  textfile: path
    .optional()
    .describe(
      'file that is written after each command that changes something, for the textfile collector of node_exporter; ' +
        'its name ends in .prom',
    ),
  pushgateway: z
    .strictObject({
      url: secretSchema.describe('http(s)://[user:password@]host:port of a Prometheus Pushgateway'),
      job: z.string().min(1).max(100).default('lifeboat').describe('the group that is replaced there'),
    })
    .optional()
    .describe('where nobody scrapes: pushed after each command that changes something, as the three below'),
  dogstatsd: z
    .strictObject({
      address: z
        .string()
        .regex(/^(\[[0-9a-fA-F:]+\]|[^[\]:/\s]+):\d{1,5}$/, 'must be host:port')
        .default('127.0.0.1:8125')
        .describe('host:port of an agent that takes datagrams (UDP)'),
    })
    .optional()
    .describe("Datadog's agent"),
  otlp: z
    .strictObject({
      url: secretSchema.describe('http(s)://…/v1/metrics of a collector that takes OTLP over HTTP'),
      headers: z.record(headerName, secretSchema).default({}).describe('such as {"api-key": {"env": "NAME"}}'),
    })
    .optional()
    .describe('OpenTelemetry: New Relic, Grafana Cloud and others'),
});
