/** Where each object of a backup lies. Layout: man lifeboat-repository(7), "Objects". */

export function manifestKey(backupId: string): string {
  return `manifests/${backupId}.json`;
}

export function trashKey(backupId: string): string {
  return `trash/${backupId}.json`;
}

/** The key of part `k` of an artifact's chunk list. */
export function indexKey(backupId: string, artifact: string, k: number): string {
  return `backups/${backupId}/${artifact}.${k}.index`;
}

export function factsKey(backupId: string): string {
  return `backups/${backupId}/facts`;
}

export function packsKey(backupId: string): string {
  return `backups/${backupId}/packs`;
}

export function keyCopyKey(backupId: string): string {
  return `backups/${backupId}/keys.json`;
}
