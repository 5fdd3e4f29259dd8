/** Parsers of what operators write: configuration, environment, URLs. No secret is fetched, so no program is run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../src/config/load.ts';
import { parsePostgresUrl } from '../../../src/config/postgres-url-parser.ts';
import type { Parser } from './run.ts';

const config = `{
  // with a comment
  "repository": "file:///srv/backups",
  "encryption": { "enabled": false },
  "retention": { "database": { "keepDaily": 7, "keepWeekly": 4 } },
  "targets": {
    "main": {
      "postgres": { "url": "postgres://u:p@h:5432/app", "databases": ["app"] },
      "files": { "paths": ["/srv/x"] },
    },
  },
}
`;

const envFile = `# comment
BACKUP_REPOSITORY=file:///srv/backups
export DATABASE_URL="postgres://u:p@h/app"
BACKUP_ENCRYPTION_ENABLED='false'
BACKUP_RETENTION_DAYS=7
`;

const urls = [
  'postgres://user:p%40ss@[::1]:5432/app?sslmode=require&host=/tmp',
  'postgresql://h/app?user=x&port=1&dbname=y',
];

async function load(document: string, env: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  try {
    writeFileSync(join(folder, 'config.json'), document);
    writeFileSync(join(folder, 'env'), env);
    const paths = { configPath: join(folder, 'config.json'), envFile: join(folder, 'env') };
    await loadConfig({ cwd: folder, env: {}, ...paths, need: {} });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const configParsers: readonly Parser[] = [
  { name: 'configuration', samples: [Buffer.from(config)], parse: async (input) => load(input.toString(), '') },
  { name: 'environment file', samples: [Buffer.from(envFile)], parse: async (input) => load('{}', input.toString()) },
  {
    name: 'PostgreSQL URL',
    samples: urls.map((url) => Buffer.from(url)),
    parse: (input) => parsePostgresUrl(input.toString()),
  },
];
