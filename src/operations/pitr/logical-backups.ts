/** Logical backups: what there is where no base backup and its log reach a moment. */
import type { Manifest, ManifestComponent } from '../../repository/manifests/manifest.ts';
import type { Repository } from '../../repository/repository.ts';

/** Those that are authentic, newest first, each with its PostgreSQL; `target` undefined: of all targets. */
export async function* logicalBackups(
  repository: Repository,
  target: string | undefined,
): AsyncGenerator<{ readonly manifest: Manifest; readonly component: ManifestComponent }> {
  for await (const { manifest, trust } of repository.listManifests()) {
    const component = manifest?.components.find(({ kind }) => kind === 'postgres');
    if (manifest === undefined || component === undefined || trust !== 'sealed') continue;
    if (target === undefined || manifest.target === target) yield { manifest, component };
  }
}
