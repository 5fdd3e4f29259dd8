/**
 * Puts into a repository what gets everything back without this program: one script for plain Node and a page that says
 * how to use it.
 */
import { readFile } from 'node:fs/promises';
import type { Storage } from '../../storage/storage.ts';
import { sha256 } from '../box/crypto.ts';

/** The script as this version ships it. */
export async function rescueScript(): Promise<Buffer> {
  return readFile(new URL('rescue.mjs', import.meta.url));
}

/** SHA-256 (hex) of the script as this version ships it. */
export async function rescueSum(): Promise<string> {
  return sha256(await rescueScript()).toString('hex');
}

/**
 * Writes rescue/; returns the script's SHA-256 (hex), which belongs on the recovery sheet: who can write to the bucket
 * can change the script.
 */
export async function installRescue(storage: Storage): Promise<string> {
  const script = await rescueScript();
  await storage.put('rescue/rescue.mjs', [script], { replace: true });
  await storage.put('rescue/README.md', [Buffer.from(rescueReadme())], { replace: true });
  return sha256(script).toString('hex');
}

/** It does not say the checksum: that would be the one of whoever changed the script. */
function rescueReadme(): string {
  return `# How to get everything back without lifeboat

This folder belongs to a backup repository made by lifeboat. If lifeboat can be installed, use it:
\`lifeboat emergency-restore\`. If not, rescue.mjs needs nothing but Node.js 18 or newer (22.15 or newer for
backups that are compressed with zstd, which is the default).

1. Copy the whole repository to a local folder, with any S3 client if it is a bucket.
2. Compare the script with the recovery sheet before running it; who can write here can change it, and this page:

       sha256sum rescue.mjs

3. List what is there, then extract a backup into an empty folder:

       node rescue.mjs list /path/to/copy
       node rescue.mjs extract --key-file /path/to/key /path/to/copy <backup id> /path/to/out

   The key file holds the key, the passphrase or the age identity of the recovery sheet. Instead of it
   BACKUP_ENCRYPTION_KEY, BACKUP_ENCRYPTION_PASSPHRASE or BACKUP_ENCRYPTION_IDENTITY may be set.

4. Every byte is checked on the way. The result is plain files:
   - schema.dump, data*.dump: \`pg_restore --dbname=…\`: first schema.dump with --section=pre-data, then all
     data*.dump, then schema.dump with --section=post-data. globals.sql: \`psql --file=…\` (roles, tablespaces)
   - *.rdb: place it as dump.rdb in the data folder of a stopped redis-server with appendonly off
   - *.tar: \`tar --numeric-owner -xpf …\`
   - facts.json: what was recorded of databases, tables, counts
   - runbook.md: what to do, with the exact commands of the installation that took the backup
   - write-ahead log comes apart: \`node rescue.mjs extract --key-file /path/to/key /path/to/copy wal /path/to/wal\`,
     then restore_command = 'cp /path/to/wal/<system identifier>/%f %p'
   - SHA256SUMS: \`sha256sum --check SHA256SUMS\`
`;
}
