/**
 * Takes a backup of all that is configured and prints what the repository holds. The configuration is
 * found as by the command line: a lifeboat.config.json here or above, and the environment.
 *
 *   node backup-and-list.mjs            (in a project with: npm install lifeboat)
 */
import { LifeboatError, openLifeboat } from 'lifeboat';

// The library leaves signals to the program: this one wants Ctrl-C to end a backup in good order.
const stop = new AbortController();
process.once('SIGINT', () => stop.abort(new Error('stopped by Ctrl-C')));

try {
  const lifeboat = await openLifeboat({ signal: stop.signal });
  lifeboat.on('step', ({ component, message }) => console.log(`  ${component ?? 'lifeboat'}: ${message}`));
  lifeboat.on('warning', ({ message }) => console.log(`  warning: ${message}`));

  const taken = await lifeboat.backup({ label: 'before the release', tags: ['release'] });
  if (taken.outcome === 'done') console.log(`backup ${taken.id} took ${taken.durationMs} ms`);

  const { backups } = await lifeboat.list({ tag: 'release' });
  for (const backup of backups) {
    const percent = backup.readBytes === 0 ? 0 : (100 * backup.storedBytes) / backup.readBytes;
    console.log(
      `${backup.id}: ${backup.components.join(', ')}; read ${backup.readBytes} bytes, stored ` +
        `${percent.toFixed(1)} % of them`,
    );
  }
  await lifeboat.close();
} catch (error) {
  // What an operator can act on has a code, a state and a hint; anything else is a bug.
  if (!(error instanceof LifeboatError)) throw error;
  console.error(`${error.message}\n${error.state ?? ''}\n${error.hint ?? ''}`);
  process.exitCode = error.exitCode;
}
