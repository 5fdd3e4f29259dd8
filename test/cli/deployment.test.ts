/**
 * Examples of deployment, each checked by what is made for it: manifests by the schemas of Kubernetes' API, the image
 * by the rules that linters of Dockerfiles have, the rest by running it. Each finds a fault that is planted for it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deployment } from 'kubernetes-models/apps/v1';
import { CronJob } from 'kubernetes-models/batch/v1';
import { ConfigMap, PersistentVolumeClaim, Secret } from 'kubernetes-models/v1';
import { parse, parseAllDocuments } from 'yaml';
import { commands } from '../../src/command-list.ts';
import { allSpellings } from '../../src/config/names.ts';
import { parseJsonc } from '../../src/config/jsonc.ts';
import { settingsSchema } from '../../src/config/schema.ts';
import { npmScripts } from '../../src/operations/setup/npm-scripts.ts';
import { makeBench, type Bench } from '../helpers/cli/command-run.ts';
import { startPostgres } from '../helpers/servers/postgres.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, 'examples', path), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'deployment-'));
let bench: Bench;

before(() => {
  bench = makeBench();
  mkdirSync(join(folder, 'bin'));
  symlinkSync(join(root, 'bin/lifeboat.js'), join(folder, 'bin/lifeboat'));
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

type Json = Readonly<Record<string, unknown>>;
const kinds = { CronJob, Deployment, ConfigMap, PersistentVolumeClaim, Secret } as const;

/** What is wrong with a manifest by the API's schema, and by what we ask of a pod. */
function manifestFaults(text: string): string[] {
  return parseAllDocuments(text).flatMap((document) => {
    const manifest = document.toJS() as Json;
    const Kind = kinds[manifest['kind'] as keyof typeof kinds];
    try {
      new Kind(manifest).validate();
    } catch (error) {
      return [String(error)];
    }
    return podsIn(manifest).flatMap(podFaults);
  });
}

interface Pod {
  readonly containers: readonly {
    readonly image: string;
    readonly args: readonly string[];
    readonly env?: readonly { readonly name: string }[];
    readonly securityContext?: Json;
    readonly resources?: Json;
    readonly volumeMounts: readonly { readonly name: string }[];
  }[];
  readonly volumes: readonly { readonly name: string }[];
  readonly securityContext?: Json;
}

function podsIn(value: unknown): Pod[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('containers' in value) return [value as Pod];
  return Object.values(value).flatMap(podsIn);
}

function podFaults({ containers, volumes, securityContext }: Pod): string[] {
  const isPod = securityContext?.['runAsNonRoot'] === true && securityContext['seccompProfile'] !== undefined;
  return containers.flatMap(({ image, args, env = [], securityContext: own, resources, volumeMounts }) => [
    ...(isPod ? [] : ['it may run as root']),
    ...(own?.['readOnlyRootFilesystem'] === true ? [] : ['its file system is writable']),
    ...(own?.['allowPrivilegeEscalation'] === false ? [] : ['it may get more rights']),
    ...(JSON.stringify(own?.['capabilities']) === '{"drop":["ALL"]}' ? [] : ['it has capabilities']),
    ...(resources?.['limits'] === undefined ? ['it has no limits'] : []),
    ...(/:\d+\.\d+\.\d+$/.test(image) ? [] : [`${image} is no version`]),
    ...(commands.some(({ name }) => name === args[0]) ? [] : [`${args[0]} is no command`]),
    ...env
      .filter(({ name }) => name !== 'TMPDIR' && !allSpellings().includes(name))
      .map(({ name }) => `${name} is not read`),
    ...volumeMounts
      .filter(({ name }) => !volumes.some((each) => each.name === name))
      .map(({ name }) => `no volume ${name}`),
  ]);
}

test('kubernetes: every manifest is one for the API, its pods have no rights, what they name is there', () => {
  const all = globSync('*.yaml', { cwd: join(root, 'examples/kubernetes') }).map((name) => read(`kubernetes/${name}`));
  assert.equal(all.length, 3);
  for (const text of all) assert.deepEqual(manifestFaults(text), []);
  const documents = all.flatMap((text) => parseAllDocuments(text).map((each) => each.toJS() as Json));
  const named = (kind: string): string[] =>
    documents.filter((each) => each['kind'] === kind).map((each) => (each['metadata'] as { name: string }).name);
  const used = all.join('\n');
  for (const [kind, pattern] of [
    ['PersistentVolumeClaim', /claimName: ([\w-]+)/g],
    ['Secret', /secretRef:\s*\{?\s*name: ([\w-]+)/g],
    ['ConfigMap', /configMap: \{ name: ([\w-]+)/g],
  ] as const) {
    const names = [...used.matchAll(pattern)].map(([, name = '']) => name);
    assert.ok(names.length > 0 && names.every((name) => named(kind).includes(name)), `${kind}: ${names.join()}`);
  }
  const secret = documents.find((each) => each['kind'] === 'Secret');
  for (const name of Object.keys(secret?.['stringData'] as Json)) assert.ok(allSpellings().includes(name), name);
  const map = documents.find((each) => each['kind'] === 'ConfigMap')?.['data'] as Record<string, string>;
  settingsSchema.parse(parseJsonc(map['lifeboat.config.json'] ?? ''));
});

test('kubernetes: planted faults are found', () => {
  const daemon = read('kubernetes/daemon.yaml');
  for (const [from, to, fault] of [
    ['replicas: 1', 'replicas: one', /replicas/],
    ['periodSeconds: 60', 'periodSeconds: often', /periodSeconds/],
    ['runAsNonRoot: true', 'runAsNonRoot: false', /as root/],
    ['drop: [ALL]', 'add: [SYS_ADMIN]', /capabilities/],
    ['lifeboat:0.1.0', 'lifeboat:latest', /no version/],
    ['name: BACKUP_STATE_DIR', 'name: BACKUP_STATE_DIRECTORY', /not read/],
    ['{ name: scratch, mountPath', '{ name: scratsh, mountPath', /no volume scratsh/],
    ['["daemon"', '["demon"', /no command/],
  ] as const) {
    assert.ok(daemon.includes(from), from);
    assert.match(manifestFaults(daemon.replace(from, to)).join('\n'), fault);
  }
});

test('kubernetes: arguments and probes work: a daemon that is ready, asked as the pod asks', async () => {
  const [deployment] = parseAllDocuments(read('kubernetes/daemon.yaml'))
    .map((each) => each.toJS() as Json)
    .filter((each) => each['kind'] === 'Deployment');
  const container = podsIn(deployment)[0]?.containers[0] as unknown as {
    args: string[];
    readinessProbe: { exec: { command: string[] } };
    livenessProbe: { exec: { command: string[] } };
  };
  const files = join(bench.folder, 'files');
  mkdirSync(files);
  bench.env = { ...bench.env, BACKUP_FILES: files };
  await bench.json('init');
  const at = join(bench.folder, 'http');
  const args = container.args.map((word) =>
    word.startsWith('/etc/') ? join(bench.folder, 'lifeboat.config.json') : word,
  );
  const daemon = await bench.start(args.map((word) => (word.startsWith('127.0.0.1') ? at : word)));
  await daemon.said(/runs the schedules|no schedule/);
  for (const { exec } of [container.readinessProbe, container.livenessProbe]) {
    const [program = '', ...others] = exec.command;
    let status: number | null = 1;
    for (let tries = 0; status !== 0 && tries < 100; tries++) {
      status = spawnSync(program, ['--unix-socket', at, ...others], { encoding: 'utf8' }).status;
      if (status !== 0) await sleep(100);
    }
    assert.equal(status, 0, exec.command.join(' '));
  }
  daemon.kill('SIGTERM');
  assert.equal((await daemon.result).exitCode, 0);
});

/** As hadolint's rules DL3002, 3006 to 3009, 3015, 3020, 3025, 4006 and a few of our own. */
function dockerFaults(text: string): string[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter(Boolean);
  const all = (instruction: string): string[] =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1));
  const faults: string[] = [];
  const check = (isGood: boolean, fault: string): void => void (isGood || faults.push(fault));
  check(
    all('FROM').every((image) => /:\d[\w.-]*\d[\w.-]*$/.test(image)),
    'an image without a version',
  );
  check(all('USER').length > 0 && !/^(root|0)\b/.test(all('USER').at(-1) ?? 'root'), 'it runs as root');
  for (const run of all('RUN')) {
    const installs = run.match(/apt-get install[^&]*/g) ?? [];
    check(
      installs.every((each) => / -y\b/.test(each) && each.includes('--no-install-recommends')),
      'apt-get installs more',
    );
    check(!run.includes('apt-get update') || run.includes('rm -rf /var/lib/apt/lists/*'), 'lists of packages stay');
    check(!/\bsudo\b|curl [^|]*\| *(ba)?sh/.test(run), 'what was downloaded is run');
  }
  check(all('ADD').length === 0, 'ADD instead of COPY');
  check(all('HEALTHCHECK').length === 1, 'no health check');
  for (const instruction of ['CMD', 'ENTRYPOINT']) {
    check(
      all(instruction).every((words) => Array.isArray(tryJson(words))),
      `${instruction} by a shell`,
    );
  }
  check(
    ![...all('ENV'), ...all('ARG')].some((line) => /KEY|SECRET|PASSWORD|TOKEN|URL/.test(line)),
    'a secret in a layer',
  );
  return faults;
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

test('docker: the image keeps the rules, its file is what npm packs; planted faults are found', async () => {
  const text = read('docker/Dockerfile');
  assert.deepEqual(dockerFaults(text), []);
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>;
  assert.match(text, new RegExp(`COPY ${name}-${version}\\.tgz `));
  const [, command = '[]'] = /^CMD (\[.*\])$/m.exec(text) ?? [];
  assert.deepEqual(JSON.parse(command), [...(JSON.parse(command) as string[])]);
  assert.equal((JSON.parse(command) as string[])[0], 'daemon');
  for (const [from, to, fault] of [
    ['FROM node:24.11-bookworm-slim', 'FROM node:latest', 'an image without a version'],
    ['USER 10001:10001', 'USER root', 'it runs as root'],
    ['install -y --no-install-recommends postgresql', 'install -y postgresql', 'apt-get installs more'],
    ['    && rm -rf /var/lib/apt/lists/*\n', '    && true\n', 'lists of packages stay'],
    ['COPY lifeboat', 'ADD lifeboat', 'ADD instead of COPY'],
    ['HEALTHCHECK', '# HEALTHCHECK', 'no health check'],
    ['CMD ["daemon", "--grace", "5m", "--listen", "127.0.0.1:9187"]', 'CMD daemon', 'CMD by a shell'],
    ['ENV BACKUP_STATE_DIR', 'ENV BACKUP_ENCRYPTION_KEY=1 BACKUP_STATE_DIR', 'a secret in a layer'],
  ] as const) {
    assert.ok(text.includes(from), from);
    assert.ok(dockerFaults(text.replace(from, to)).includes(fault), fault);
  }
});

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly image: string;
        readonly environment?: Readonly<Record<string, string>>;
        readonly secrets?: readonly string[];
        readonly volumes?: readonly string[];
        readonly command?: readonly string[];
        readonly depends_on?: Readonly<Record<string, unknown>>;
      }
    >
  >;
  readonly volumes: Json;
  readonly secrets: Json;
}

function composeFaults(text: string): string[] {
  const { services, volumes, secrets } = parse(text) as Compose;
  return Object.entries(services).flatMap(([name, service]) => {
    const { image, environment = {}, secrets: own = [], volumes: mounts = [], depends_on: needs = {} } = service;
    const sources = mounts.map((each) => each.split(':')[0] ?? '').filter((each) => !/^[./]/.test(each));
    return [
      ...(/:\d+\.\d+/.test(image) ? [] : [`${name}: ${image} is no version`]),
      ...sources.filter((each) => !(each in volumes)).map((each) => `no volume ${each}`),
      ...own.filter((each) => !(each in secrets)).map((each) => `no secret ${each}`),
      ...Object.keys(needs)
        .filter((each) => !(each in services))
        .map((each) => `no service ${each}`),
      ...Object.entries(environment).flatMap(([key, value]) => [
        ...(/PASSWORD|KEY|URL/.test(key) && !key.endsWith('_FILE') ? [`${key} is a secret`] : []),
        ...(key.endsWith('_FILE') && !own.includes(value.replace('/run/secrets/', '')) ? [`${key} has no secret`] : []),
        ...(name === 'lifeboat' && !allSpellings().includes(key) ? [`${key} is not read`] : []),
      ]),
    ];
  });
}

test('docker: what the composition names is there, secrets are files; planted faults are found', () => {
  const text = read('docker/compose.yaml');
  assert.deepEqual(composeFaults(text), []);
  for (const [from, to, fault] of [
    ['image: redis:7.4-bookworm', 'image: redis:latest', /no version/],
    ['- state:/var', '- sate:/var', /no volume sate/],
    ['secrets: [database_url,', 'secrets: [data_url,', /no secret data_url[^]*DATABASE_URL_FILE has no secret/],
    ['REDIS_URL_FILE: /run/secrets/redis_url', 'REDIS_URL: redis://redis', /REDIS_URL is a secret/],
    ['BACKUP_REPOSITORY:', 'BACKUP_REPOSITORIES:', /BACKUP_REPOSITORIES is not read/],
  ] as const) {
    assert.ok(text.includes(from), from);
    assert.match(composeFaults(text.replace(from, to)).join('\n'), fault);
  }
});

test('npm-scripts: those that init adds, and npm runs them', () => {
  const project = JSON.parse(read('npm-scripts/package.json')) as { scripts: Record<string, string> };
  assert.deepEqual(project.scripts, npmScripts);
  const own = join(folder, 'project');
  mkdirSync(own);
  copyFileSync(join(root, 'examples/npm-scripts/package.json'), join(own, 'package.json'));
  writeFileSync(join(own, 'data'), 'content');
  const env = {
    ...bench.env,
    PATH: `${folder}/bin:${bench.env['PATH']}`,
    BACKUP_FILES: join(own, 'data'),
    BACKUP_REPOSITORY: `file://${folder}/npm-repository`,
    BACKUP_STATE_DIR: join(folder, 'npm-state'),
  };
  for (const script of [
    'backup:init',
    'backup:create-full',
    'backup:validate',
    'backup:cleanup:dry-run',
    'backup:status',
  ]) {
    const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', script], {
      cwd: own,
      env,
      encoding: 'utf8',
    });
    // Nothing was proven by a drill yet.
    assert.equal(status, script === 'backup:status' ? 3 : 0, `${script}: ${stdout}${stderr}`);
  }
});

test('postgresql/archiving.conf: a server starts with it, archives, and can be recovered', async () => {
  const settings = Object.fromEntries(
    read('postgresql/archiving.conf')
      .split('\n')
      .filter((line) => /^\w/.test(line))
      .map((line) => {
        const [, name = '', value = ''] = /^(\w+) = (.*)$/.exec(line) ?? [];
        return [name, value.replaceAll(/^'|'$/g, '')];
      }),
  );
  const own = makeBench();
  // The server's user must be able to read it.
  chmodSync(own.folder, 0o755);
  chmodSync(own.tmp, 0o1777);
  const config = join(own.folder, 'lifeboat.config.json');
  const command = settings['archive_command']?.replace('/etc/lifeboat/lifeboat.config.json', config) ?? '';
  const variables = ['BACKUP_REPOSITORY', 'BACKUP_ENCRYPTION_KEY'].map((name) => `${name}=${own.env[name]}`).join(' ');
  const pushed = `PATH=${folder}/bin:$PATH ${variables} BACKUP_STATE_DIR=${own.tmp}/server-state ${command}`;
  chmodSync(folder, 0o755);
  const server = await startPostgres({ settings: { ...settings, archive_command: pushed } });
  try {
    own.env = { ...own.env, DATABASE_URL: server.url() };
    writeFileSync(
      config,
      JSON.stringify({ targets: { main: { postgres: { url: { env: 'DATABASE_URL' }, base: {} } } } }),
    );
    const { status } = spawnSync('sh', ['-c', `umask 0; ${join(folder, 'bin/lifeboat')} init --quiet`], {
      cwd: own.folder,
      env: own.env,
    });
    assert.equal(status, 0);
    assert.equal(spawnSync('chown', ['-R', 'nobody', own.repository]).status, 0);
    const base = await own.json<{ id: string }>('backup base', { exitCode: 0 });
    assert.match(base.id, /-base-/);
    const found = await own.json<{ systems: { gaps: unknown[]; timelines: { segments: number }[] }[] }>('wal status');
    assert.deepEqual(found.systems[0]?.gaps, []);
    assert.ok((found.systems[0]?.timelines[0]?.segments ?? 0) > 0);
    await own.json('pitr --to latest --check');
  } finally {
    await server.stop();
    await own[Symbol.asyncDispose]();
  }
});
