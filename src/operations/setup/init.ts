/** Sets up: the key, the configuration file, the repository; then says what to do next. It can be repeated. */
import { randomBytes } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { LoadedConfig } from '../../config/load.ts';
import type { EncryptionConfig } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { tellingFileErrors } from '../../lib/file-errors.ts';
import { programPath } from '../../lib/program-path.ts';
import type { RunContext } from '../../lib/events.ts';
import { writeFileAtomic } from '../../lib/fs.ts';
import { Secret } from '../../lib/secret.ts';
import { createRepository } from '../../repository/create.ts';
import { rememberedId, rememberId } from '../../repository/place.ts';
import { openRepository, readRepositoryInfo } from '../../repository/repository.ts';
import { installRescue, rescueSum } from '../../repository/rescue/install.ts';
import { argumentsOf, record } from '../audit/audited.ts';
import { initialConfig } from './initial-config.ts';
import { writeNewSecret } from './keys.ts';
import { addNpmScripts } from './npm-scripts.ts';
import { addProposedSchedules, proposedSchedules, whyNoSchedules } from './proposed-schedules.ts';
import { repositoryPlace } from '../../config/repository-place.ts';
import { repositoryLocation, withStorage } from '../open-repository.ts';
import type { InitOptions, InitRequest, InitResult } from './request.ts';
import type { Operation } from '../operation.ts';
import { given, pathOf, repositoryNeeds } from '../complete.ts';
import { configFileName } from '../../config/discover.ts';

export const initOperation: Operation<InitOptions, InitRequest, InitResult> = {
  need: () => repositoryNeeds,
  complete: (options, { cwd, isConfigGiven }) => ({
    ...given(options),
    configPath: pathOf(options.configPath ?? (isConfigGiven === true ? undefined : configFileName), cwd),
    keyFile: pathOf(options.keyFile, cwd),
    npmScriptsIn: pathOf(options.npmScriptsIn, cwd),
  }),
  run: init,
};

export async function init(loaded: LoadedConfig, request: InitRequest, context: RunContext): Promise<InitResult> {
  repositoryLocation(loaded);
  const created: string[] = [];
  const warnings: string[] = [];
  const startedMs = Date.now();
  const key = await ensureKey(loaded, request, created);
  const noSchedules = request.schedules === true ? whyNoSchedules(loaded) : undefined;
  if (noSchedules !== undefined) {
    warnings.push(noSchedules);
    context.emit({ type: 'warning', message: noSchedules });
  }
  if (loaded.file === undefined && request.configPath !== undefined) {
    const isProposing = request.schedules === true && noSchedules === undefined;
    const schedules = isProposing ? proposedSchedules(loaded.config) : [];
    await writeConfiguration(request.configPath, initialConfig(loaded, key.file, schedules), created);
  } else if (request.schedules === true && (await addProposedSchedules(loaded))) {
    created.push(`"schedules" in ${loaded.file}`);
  }
  if (request.npmScriptsIn !== undefined && (await addNpmScripts(request.npmScriptsIn))) {
    created.push(join(request.npmScriptsIn, 'package.json'));
  }
  const made = await withStorage(
    loaded,
    context,
    async (storage) => {
      const { stateDir } = loaded.config;
      if ((await readRepositoryInfo(storage)) !== undefined) {
        const repository = await openRepository(
          storage,
          key.encryption,
          stateDir,
          repositoryPlace(repositoryLocation(loaded)),
        );
        if (request.rescueScript === true) {
          await installRescue(storage);
          created.push('rescue/rescue.mjs', 'rescue/README.md');
        }
        const publicKey = (await repository.signer()).publicKey.toString('base64');
        return { id: repository.repositoryId, location: storage.location, rescueSha256: await rescueSum(), publicKey };
      }
      const { repository, rescueSha256, signingKey } = await createRepository(storage, key.encryption, stateDir);
      const place = repositoryPlace(repositoryLocation(loaded));
      const known = await rememberedId(stateDir, place).catch(() => undefined);
      if (known !== undefined) warnings.push(`this host has seen another repository there before, ${known}`);
      // Who makes one says what lies there from now on.
      await rememberId(stateDir, place, repository.repositoryId).catch(() => {});
      created.push(storage.location);
      return { id: repository.repositoryId, location: storage.location, rescueSha256, publicKey: signingKey };
    },
    { create: true },
  );
  // With the key that was made just now, which the loaded configuration does not know.
  const withKey = { ...loaded, config: { ...loaded.config, encryption: key.encryption } };
  if (created.length > 0) {
    await record(
      withKey,
      {
        command: 'init',
        ids: [],
        outcome: 'ok',
        exitCode: 0,
        startedMs,
        finishedMs: Date.now(),
        details: { arguments: argumentsOf(request) },
      },
      context,
    );
  }
  return {
    repository: made.location,
    repositoryId: made.id,
    created,
    configPath: loaded.file ?? request.configPath,
    keyFile: key.file,
    encrypted: key.encryption.enabled,
    rescueSha256: made.rescueSha256,
    publicKey: made.publicKey,
    nextSteps: nextSteps(loaded, loaded.file ?? request.configPath, key.file),
    warnings: [...warnings, ...(key.encryption.enabled ? [] : [withoutEncryption])],
  };
}

const withoutEncryption =
  'backups are stored without encryption: who can read the repository reads them, and who can write there can make ' +
  "others; only this host's signature tells, and other hosts restore roles and grants of those whose writer they " +
  'list in encryption.trustedKeys';

interface Key {
  readonly encryption: EncryptionConfig;
  /** The file that was made. */
  readonly file: string | undefined;
}

/** The configured key, or a new one in a file of its own. */
async function ensureKey(
  { config, file: configFile }: LoadedConfig,
  request: InitRequest,
  created: string[],
): Promise<Key> {
  const { encryption } = config;
  const isConfigured =
    encryption.key !== undefined || encryption.passphrase !== undefined || encryption.recipients.length > 0;
  if (!encryption.enabled || isConfigured) return { encryption, file: undefined };
  const file = request.keyFile ?? join(dirname(request.configPath ?? configFile ?? resolve('.')), 'lifeboat.key');
  if (configFile !== undefined || request.configPath === undefined) {
    throw new LifeboatError('key', 'encryption is on, but no key is configured', {
      state: 'nothing was changed',
      hint:
        `make one with: lifeboat keys generate --file ${file}  and name it in ${configFile ?? 'the configuration'}: ` +
        `"encryption": {"key": {"file": "${file}"}}; or set BACKUP_ENCRYPTION_ENABLED=false`,
    });
  }
  const key = await existingKey(file);
  if (key !== undefined) return { encryption: { ...encryption, key: new Secret(key) }, file };
  const fresh = randomBytes(32).toString('hex');
  await writeNewSecret(file, fresh);
  created.push(file);
  return { encryption: { ...encryption, key: new Secret(fresh) }, file };
}

/** A key file of an earlier init that did not get further. */
async function existingKey(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text !== undefined && /^[0-9a-f]{64}\n?$/.test(text) ? text.trim() : undefined;
}

async function writeConfiguration(path: string, text: string, created: string[]): Promise<void> {
  await refuseExisting(path);
  const details = {
    state:
      created.length === 0 ? 'nothing was changed' : `${created.join(' and ')} was made; the next init goes on with it`,
    hint: 'run it in a folder that this user may write to, or name another file with --config',
  };
  await tellingFileErrors(`cannot write the configuration ${path}`, details, async () => writeFileAtomic(path, text));
  created.push(path);
}

async function refuseExisting(path: string): Promise<void> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (exists) {
    throw new LifeboatError('usage', `${path} exists already, but is not the configuration that was read`, {
      state: 'nothing was changed',
      hint: `use it with --config ${path}, or move it away`,
    });
  }
}

/** Recipes name absolute paths: cron has neither our folder nor our PATH. */
function nextSteps(
  { config, file, envFile, origins }: LoadedConfig,
  configPath: string | undefined,
  keyFile: string | undefined,
): string[] {
  const steps =
    keyFile === undefined
      ? []
      : [`copy ${keyFile} to a safe place that is not this machine: without it no backup can be read`];
  if (config.targets.size === 0) {
    const where = configPath ?? 'the configuration';
    steps.push(`say what to protect: set DATABASE_URL, REDIS_URL or BACKUP_FILES, or add "targets" to ${where}`);
  }
  if (configPath === undefined) return steps;
  const unknown = file === undefined && envFile === undefined ? unknownToCron(origins) : [];
  if (unknown.length > 0) {
    steps.push(
      `cron does not know ${unknown.join(' and ')}: write NAME=value lines into a file (chmod 600), and name it ` +
        `in ${configPath}: "envFile": "/path"`,
    );
  }
  return [
    ...steps,
    'lifeboat doctor',
    'lifeboat backup',
    `for crontab -e: 15 2 * * * ${programPath} backup --config ${configPath} --quiet`,
  ];
}

/** Variables that stay the only place of a secret: URLs given by NAME_FILE or NAME_COMMAND are in the new file. */
function unknownToCron(origins: LoadedConfig['origins']): string[] {
  const isOnlyThere = (path: string, origin: string): boolean =>
    /^targets\..*\.url$/.test(path)
      ? /^[A-Z_]+(?<!_FILE|_COMMAND)$/.test(origin)
      : /^(encryption|repository)\.(key|passphrase|identity|accessKey|secretKey|sessionToken)$/.test(path) &&
        /^[A-Z0-9_]+$/.test(origin);
  return [...origins].filter(([path, origin]) => isOnlyThere(path, origin)).map(([, origin]) => origin);
}
