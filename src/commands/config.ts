/** lifeboat config show */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

export function declare(command: Command, session: Session): void {
  command
    .command('show', { isDefault: true })
    .description('each value and where it comes from')
    .option('--schema', 'print the JSON Schema of the configuration file instead')
    .action(async (flags: { schema?: boolean }) => {
      if (flags.schema === true) {
        const { configJsonSchema } = await import('../config/json-schema.ts');
        return session.show(configJsonSchema(), (await import('../ui/config-view.ts')).schemaView);
      }
      // No secret is fetched: what is shown is where it would come from.
      const loaded = await session.load({});
      const { describeConfig } = await import('../config/describe.ts');
      return session.show(
        { file: loaded.file, values: describeConfig(loaded), warnings: loaded.warnings },
        (await import('../ui/config-view.ts')).configView,
      );
    });
}
