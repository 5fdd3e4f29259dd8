/**
 * A CronJob for each schedule, for kubectl apply. Pods cost more than calls: so it goes by the schedule's own moments
 * in its zone, and an hour later once more, which is when a moment of a skipped hour is due, and what failed for a
 * while is caught up with.
 */
import { hostTimeZone } from '../../lib/time-zone.ts';
import type { Cron } from '../../lib/cron.ts';
import type { PrintedFile } from './request.ts';
import type { Unit } from './unit.ts';

/** Where the configuration, what it needs of the environment, and this host's state are mounted. */
const places = { config: '/etc/lifeboat', state: '/var/lib/lifeboat' };

export function kubernetesFiles(units: readonly Unit[], image: string): PrintedFile[] {
  return [{ name: 'lifeboat.yaml', text: units.map((unit) => document(cronJob(unit, image))).join('---\n') }];
}

function cronJob({ schedule, cron }: Unit, image: string): object {
  const { id, timezone, graceMs } = schedule;
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: {
      name: `lifeboat-${id}`.slice(0, 52).replace(/-+$/, ''),
      labels: { 'app.kubernetes.io/name': 'lifeboat' },
    },
    spec: {
      schedule: expression(cron),
      timeZone: timezone ?? hostTimeZone(),
      concurrencyPolicy: 'Forbid',
      // Kubernetes gives a CronJob up after a hundred missed starts that it may still make up for; below ten seconds
      // it starts none.
      startingDeadlineSeconds: Math.max(60, Math.round(graceMs / 1000)),
      successfulJobsHistoryLimit: 1,
      failedJobsHistoryLimit: 3,
      // A failure is tried again by the program (attempts).
      jobTemplate: { spec: { backoffLimit: 0, template: { spec: pod(id, image) } } },
    },
  };
}

function pod(id: string, image: string): object {
  return {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      fsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'lifeboat',
        image,
        command: [
          'lifeboat',
          'schedule',
          'run',
          id,
          '--slot',
          '--quiet',
          '--config',
          `${places.config}/lifeboat.config.json`,
        ],
        env: [{ name: 'BACKUP_STATE_DIR', value: places.state }],
        envFrom: [{ secretRef: { name: 'lifeboat-env', optional: true } }],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { requests: { cpu: '250m', memory: '512Mi' }, limits: { memory: '2Gi' } },
        volumeMounts: [
          { name: 'config', mountPath: places.config, readOnly: true },
          { name: 'state', mountPath: places.state },
          { name: 'tmp', mountPath: '/tmp' },
        ],
      },
    ],
    volumes: [
      { name: 'config', secret: { secretName: 'lifeboat-config', defaultMode: 0o440 } },
      { name: 'state', persistentVolumeClaim: { claimName: 'lifeboat-state' } },
      { name: 'tmp', emptyDir: {} },
    ],
  };
}

function expression({ minutes, hours, everyHour, dayFields: { day, month, weekday } }: Cron): string {
  const later = hours.flatMap((hour) => (hour === 23 ? [hour] : [hour, hour + 1]));
  const all = [...new Set(later)].toSorted((a, b) => a - b);
  const hour = everyHour && hours.length === 24 ? '*' : all.join(',');
  return `${minutes.length === 60 ? '*' : minutes.join(',')} ${hour} ${day} ${month} ${weekday}`;
}

const comment = [
  '# It needs a secret lifeboat-config (lifeboat.config.json and the key), a claim lifeboat-state, and, if the',
  '# configuration names variables, a secret lifeboat-env.',
];

function document(value: object): string {
  return `${[...comment, ...yaml(value)].join('\n')}\n`;
}

/** Block style; texts in double quotes as in JSON, which YAML reads the same. */
function yaml(value: unknown): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first = '', ...others] = isBlock(item) ? yaml(item) : [scalar(item)];
      return [`- ${first}`, ...others.map((line) => `  ${line}`)];
    });
  }
  return Object.entries(value as object).flatMap(([key, inner]) => {
    const name = /^[A-Za-z]+$/.test(key) ? key : JSON.stringify(key);
    return isBlock(inner) ? [`${name}:`, ...yaml(inner).map((line) => `  ${line}`)] : [`${name}: ${scalar(inner)}`];
  });
}

function isBlock(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

function scalar(value: unknown): string {
  return JSON.stringify(value);
}
