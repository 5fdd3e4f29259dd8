/**
 * A process that puts an object for each key that it reads on standard input, on a storage without hard links, and says
 * of each whether the object is now its own. Arguments: the root, and what it writes.
 */
import { createInterface } from 'node:readline';
import { openLocalStorage } from '../../../src/storage/local/local.ts';
import { AlreadyExistsError } from '../../../src/storage/storage.ts';

const [root = '', content = ''] = process.argv.slice(2);
const storage = openLocalStorage(root, { links: false });

for await (const key of createInterface({ input: process.stdin })) {
  try {
    await storage.put(key, [Buffer.from(content)]);
    console.log('won');
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
    console.log('lost');
  }
}
