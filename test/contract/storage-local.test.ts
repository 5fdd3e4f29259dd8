import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { openLocalStorage } from '../../src/storage/local/local.ts';
import { openStorage } from '../../src/storage/open.ts';
import { storageContract } from './storage-suite.ts';

const dir = mkdtempSync(join(tmpdir(), 'lifeboat-storage-'));
after(() => rmSync(dir, { recursive: true, force: true }));
let count = 0;
const newPath = (): string => join(dir, String(count++), 'repo');

storageContract('a folder', async () => openStorage({ kind: 'local', path: newPath() }, { create: true }));
storageContract('a folder without hard links', async () => openLocalStorage(newPath(), { create: true, links: false }));
