/** lifeboat notify test|flush|list */
import type { Command } from 'commander';
import type { Session } from './shared/session.ts';

const views = async () => import('../ui/notify-view.ts');
const manage = async () => import('../operations/notify/manage.ts');

export function declare(command: Command, session: Session): void {
  command
    .command('test')
    .description('send a marked message by each channel, and say which arrived')
    .argument('[channel]', 'only by this one')
    .option('--each-event', 'one of each kind of event, in place of a failure and its end')
    .action(async (channel: string | undefined, { eachEvent }: { readonly eachEvent?: boolean }) =>
      session.perform({
        operation: async () => (await import('../operations/notify/test.ts')).notifyTestOperation,
        options: { channel, eachEvent },
        view: async () => (await views()).notifyTestView,
      }),
    );
  command
    .command('flush')
    .description('send now what waits, also what had failed and is not due yet')
    .argument('[channel]', 'only by this one')
    .action(async (channel: string | undefined) =>
      session.perform({
        operation: async () => (await manage()).notifyFlushOperation,
        options: { channel },
        view: async () => (await views()).notifyFlushView,
      }),
    );
  command
    .command('list')
    .description('what is wrong now, and what waits to be sent')
    .action(async () =>
      session.perform({
        operation: async () => (await manage()).notifyListOperation,
        options: {},
        view: async () => (await views()).notifyListView,
      }),
    );
}
