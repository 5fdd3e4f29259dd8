import { after, before } from 'node:test';
import { openStorage } from '../../src/storage/open.ts';
import { startSftpServer, type TestSftpServer } from '../helpers/servers/sftp.ts';
import { storageContract } from './storage-suite.ts';

let server: TestSftpServer;
let plain: TestSftpServer;
before(async () => {
  server = await startSftpServer();
  plain = await startSftpServer({ without: ['hardlink', 'fsync', 'statvfs', 'limits'] });
});
after(async () => {
  await server?.stop();
  await plain?.stop();
});

storageContract('a folder behind SFTP', async () => openStorage(server.location(), { create: true }));
storageContract('a server that can replace, and nothing else beyond the protocol', async () =>
  openStorage(plain.location(), { create: true }),
);
