/**
 * Puts the configuration of the old server into a restored data directory, as one that works there: from the artifact
 * that base backups have of it, else as far as it lay in the directory. What was there already and is the same stays.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readAtMost } from '../../../lib/bounded-read.ts';
import type { EventSink } from '../../../lib/events.ts';
import { systemCodeOf } from '../../../lib/errors.ts';
import { removeFile } from '../../../lib/held-files.ts';
import type { Owner } from '../../../lib/owners.ts';
import type { ArtifactReader } from '../../source.ts';
import { recordedConfiguration } from './configuration.ts';
import { quoted } from './configuration-text.ts';
import type { BasePlacer } from './placer.ts';
import { overridesFor } from './usable-here.ts';
import {
  leastConfiguration,
  mainNames,
  settingsIn,
  withoutOldPlace,
  workingConfiguration,
  type WorkingConfiguration,
} from './working-configuration.ts';

export interface ConfigurationPlace {
  readonly reader: ArtifactReader;
  /** Its root is the data directory. */
  readonly placer: BasePlacer;
  /** The data directory, which nobody else can enter meanwhile. */
  readonly top: string;
  readonly owner: Owner | undefined;
  /** How a file is called until the cluster is recovered. */
  readonly nameOf: (name: string) => string;
}

const autoName = 'postgresql.auto.conf';
const maxFileBytes = 64 * 1024 * 1024;
/** No file of configuration: an include that names one of them leaves it as it is. */
const ofServer = /^(base|global|pg_(?!hba\.conf$|ident\.conf$).*|PG_VERSION|postgresql\.auto\.conf|.*\.signal)(\/|$)/;

/** Throws `integrity` (14) for an artifact that is none. */
export async function placeConfiguration(place: ConfigurationPlace, emit: EventSink): Promise<void> {
  const files = new PlacedFiles(place);
  const recorded = await recordedConfiguration(place.reader);
  const working = recorded === undefined ? await asItLies(files) : workingConfiguration(recorded);
  for (const { name, text } of working.files) if (!ofServer.test(name)) await files.write(name, text);
  for (const { name, text } of leastConfiguration) if (!files.has(name)) await files.write(name, text);
  for (const each of working.dropped) warn(emit, `an include leads to a file that is not in the backup: ${each}`);
  await settle(files, working, place, emit);
}

/** Of a backup that holds it only as far as it lay in the data directory. */
async function asItLies(files: PlacedFiles): Promise<WorkingConfiguration> {
  const name = mainNames.config_file;
  const text = await files.read(name);
  if (text === undefined) return { files: [], settings: new Map(), dropped: [] };
  const settings = new Map(settingsIn(text).map((each) => [each.name, each.value]));
  return { files: [{ name, text: withoutOldPlace(text) }], settings, dropped: [] };
}

/** postgresql.auto.conf counts more than all files: what does not work here is set there. */
async function settle(
  files: PlacedFiles,
  working: WorkingConfiguration,
  { top, owner }: ConfigurationPlace,
  emit: EventSink,
): Promise<void> {
  const auto = (await files.read(autoName)) ?? '';
  const settings = new Map(working.settings);
  for (const { name, value } of settingsIn(auto)) settings.set(name, value);
  const overrides = overridesFor(settings, { dataDir: top, owner }).map(
    ([name, value]) => `${name} = ${quoted(value)}`,
  );
  for (const each of overrides) {
    warn(emit, `what the server had set is not on this host, so postgresql.auto.conf has: ${each}`);
  }
  const kept = withoutOldPlace(auto);
  if (overrides.length === 0 && kept === auto) return;
  await files.write(autoName, [kept.trimEnd(), ...overrides, ''].join('\n'));
}

function warn(emit: EventSink, message: string): void {
  emit({ type: 'warning', component: 'base', message });
}

class PlacedFiles {
  readonly #place: ConfigurationPlace;

  constructor(place: ConfigurationPlace) {
    this.#place = place;
  }

  has(name: string): boolean {
    return existsSync(this.#pathOf(name));
  }

  /** Latin1; undefined where there is none. */
  async read(name: string): Promise<string | undefined> {
    try {
      return (await readAtMost(this.#pathOf(name), maxFileBytes)).toString('latin1');
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async write(name: string, text: string): Promise<void> {
    const { placer, nameOf } = this.#place;
    const before = await this.read(name);
    if (before === text) return;
    if (before !== undefined) await removeFile(this.#pathOf(name));
    await this.#makeFolders(dirname(nameOf(name)));
    await placer.copy(nameOf(name), [Buffer.from(text, 'latin1')]);
    await placer.finish();
  }

  async #makeFolders(name: string): Promise<void> {
    if (name === '.' || this.has(name)) return;
    await this.#makeFolders(dirname(name));
    await this.#place.placer.makeFolder(name, 0o700);
  }

  #pathOf(name: string): string {
    return Buffer.from(join(this.#place.top, this.#place.nameOf(name)), 'latin1').toString();
  }
}
