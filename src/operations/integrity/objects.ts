/**
 * What an object of the repository is, by its name: layout in man lifeboat-repository(7). A name that fits nothing is a
 * stray.
 */
import { parseAuditKey } from '../../repository/audit-names.ts';
import { parseEvidenceName } from '../../repository/backups/evidence-record.ts';
import { parseSlotName } from '../../repository/slots/names.ts';
import { isBackupId } from '../../repository/manifests/ids.ts';

export const objectKinds = [
  'repository',
  'keys',
  'manifests',
  'backups',
  'packs',
  'wal',
  'evidence',
  'notes',
  'audit',
  'locks',
  'schedules',
  'trash',
  'rescue',
  'strays',
] as const;
export type ObjectKind = (typeof objectKinds)[number];

export interface NamedObject {
  readonly kind: ObjectKind;
  /** Of manifests, backups, evidence, notes and trash. */
  readonly backupId?: string | undefined;
  /** Of packs: 32 hex digits. */
  readonly packId?: string | undefined;
  readonly audit?: { readonly host: string; readonly number: number } | undefined;
}

const stray: NamedObject = { kind: 'strays' };

/** Never throws. */
export function nameObject(key: string): NamedObject {
  const folder = key.slice(0, key.indexOf('/') + 1);
  return namers[folder]?.(key.slice(folder.length), key) ?? stray;
}

type Namer = (rest: string, key: string) => NamedObject | undefined;

const namers: Readonly<Record<string, Namer>> = {
  '': (rest) => (rest === 'repository.json' ? { kind: 'repository' } : undefined),
  'keys/': (rest) => (/^[0-9a-f]{32}\.json$/.test(rest) ? { kind: 'keys' } : undefined),
  'manifests/': (rest) => ofBackup('manifests', /^([^/]+)\.json$/.exec(rest)?.[1]),
  'trash/': (rest) => ofBackup('trash', /^([^/]+)\.json$/.exec(rest)?.[1]),
  'backups/': (rest) =>
    ofBackup(
      'backups',
      /^([^/]+)\/(?:facts|packs|keys\.json|(?!\.)[A-Za-z0-9._-]{1,100}\.(?:0|[1-9]\d*)\.index)$/.exec(rest)?.[1],
    ),
  'packs/': (rest) => {
    const [, head, id] = /^([0-9a-f]{2})\/([0-9a-f]{32})\.pack$/.exec(rest) ?? [];
    return id === undefined || head === undefined || !id.startsWith(head) ? undefined : { kind: 'packs', packId: id };
  },
  'wal/': (rest) => (isWalName(rest) ? { kind: 'wal' } : undefined),
  'evidence/': (_, key) => ofBackup('evidence', parseEvidenceName(key)?.backupId),
  'notes/': (rest) => ofBackup('notes', /^([^/]+)\/\d{8}T\d{6}Z-[0-9a-f]{4}(?:-moved|-back)?\.json$/.exec(rest)?.[1]),
  'audit/': (_, key) => {
    const audit = parseAuditKey(key);
    return audit === undefined ? undefined : { kind: 'audit', audit };
  },
  // Those of doctor are trial objects.
  'locks/': (rest) =>
    /^(?:[a-z0-9-]+\/[^/]+\.(?:json|broken)|doctor\/[0-9a-f]{16})$/.test(rest) ? { kind: 'locks' } : undefined,
  'schedules/': (_, key) => (parseSlotName(key) === undefined ? undefined : { kind: 'schedules' }),
  'rescue/': (rest) => (rest === 'README.md' || rest === 'rescue.mjs' ? { kind: 'rescue' } : undefined),
};

function ofBackup(kind: ObjectKind, id: string | undefined): NamedObject | undefined {
  return id !== undefined && isBackupId(id) ? { kind, backupId: id } : undefined;
}

/**
 * Segments lie in folders named after their own timeline and log; an unfinished one bears the place up to which it is
 * valid.
 */
function isWalName(rest: string): boolean {
  if (/^\d+\/history\/[0-9A-F]{8}(?:\.history|[0-9A-F]{16}\.[0-9A-F]{8}\.backup)\.wal$/.test(rest)) return true;
  const [, timeline, log, name] =
    /^\d+\/([0-9A-F]{8})\/([0-9A-F]{8})\/([0-9A-F]{24})(?:(?:\.[0-9A-F]{16})?\.partial)?(?:\.part\d\d)?\.wal$/.exec(
      rest,
    ) ?? [];
  return name !== undefined && timeline !== undefined && log !== undefined && name.startsWith(timeline + log);
}
