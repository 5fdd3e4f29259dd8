/** Takes away a manifest that was just put and must not stand: its run failed at the very last step. */
import type { RemoveOptions, Storage } from '../../storage/storage.ts';

/**
 * Also for good where old versions are kept, if that is allowed: under a delete marker without a record it would look
 * like a backup that somebody hid.
 */
export async function takeBack(
  storage: Storage,
  object: string,
  options: Omit<RemoveOptions, 'afterAbort'> = {},
): Promise<void> {
  await storage.remove([object], { ...options, afterAbort: true });
  await storage.removeVersions?.([object], { hiddenOnly: true }).catch(() => {});
}
