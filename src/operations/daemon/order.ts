/** How a worker gets its order, and learns that the daemon is gone. */
import type { Readable } from 'node:stream';
import { LifeboatError } from '../../lib/errors.ts';
import type { WorkerOrder } from './messages.ts';

/** No order is longer: a configuration and its environment file. */
const mostCharacters = 16 * 1024 * 1024;

/**
 * The first line of the daemon's pipe. `onGone` is called once the pipe ends after it. Throws LifeboatError `usage`
 * where no order comes.
 */
export async function readOrder(stdin: Readable, onGone: () => void): Promise<WorkerOrder> {
  const { promise, resolve, reject } = Promise.withResolvers<WorkerOrder>();
  const refuse = (): void => reject(new LifeboatError('usage', 'a worker gets its order from its daemon only'));
  let text = '';
  let isRead = false;
  stdin.setEncoding('utf8').on('data', (more: string) => {
    if (isRead) return;
    text += more;
    if (text.length > mostCharacters) return refuse();
    if (!more.includes('\n')) return;
    isRead = true;
    try {
      resolve(JSON.parse(text) as WorkerOrder);
    } catch {
      refuse();
    }
  });
  for (const end of ['end', 'error', 'close']) stdin.on(end, () => (isRead ? onGone() : refuse()));
  return promise;
}
