/** lifeboat version */
import type { Command } from 'commander';
import { programVersion } from '../lib/version.ts';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command.action(async () => {
    const { versionView } = await import('../ui/version-view.ts');
    await session.show(
      {
        lifeboat: programVersion(),
        node: process.versions.node,
        platform: `${process.platform}-${process.arch}`,
        repositoryFormat: 1,
      },
      versionView,
    );
  });
}
