/**
 * Run as a program, to be killed: puts objects one after the other and prints each key once its put has
 * resolved. Arguments: what openStorage takes as location, as JSON (secrets as strings), and a name
 * that its keys begin with. Each object is a line of text, repeated; see contentOf.
 */
import { openStorage } from '../../../src/storage/open.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { RepositoryLocation } from '../../../src/config/config.ts';

/** What an object of that key must hold: 1 to 5 MiB that no half of it looks like. */
export function contentOf(key: string): Buffer {
  const number = Number(key.slice(key.lastIndexOf('/') + 1));
  const line = Buffer.from(`${key} `);
  return Buffer.alloc((1 + (number % 5)) * 1024 * 1024 + line.length, line);
}

if (import.meta.main) {
  const [text = '', name = ''] = process.argv.slice(2);
  const storage = await openStorage(withSecrets(JSON.parse(text) as RepositoryLocation), { create: true });
  for (let n = 0; ; n++) {
    const key = `${name}/${n % 3}/${n}`;
    const content = contentOf(key);
    await storage.put(key, [content.subarray(0, 1000), content.subarray(1000)], n % 2 === 0 ? {} : { replace: true });
    process.stdout.write(`${key}\n`);
  }
}

function withSecrets(location: RepositoryLocation): RepositoryLocation {
  if (location.kind !== 's3') return location;
  const { accessKey, secretKey } = location as unknown as { accessKey: string; secretKey: string };
  return { ...location, accessKey: new Secret(accessKey), secretKey: new Secret(secretKey) };
}
