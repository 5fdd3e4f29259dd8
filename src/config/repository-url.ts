/** The repository's location: file:///path, a path, sftp://user@host/path, or s3://bucket/prefix with its details. */
import { fileURLToPath } from 'node:url';
import type { RepositoryLocation } from './config.ts';
import type { Parser } from './parser.ts';
import type { Settings } from './schema.ts';

/** Undefined if none is configured; faults go to the parser. */
export async function parseRepository(
  from: Settings['repository'],
  parser: Parser,
  needed: boolean,
): Promise<RepositoryLocation | undefined> {
  if (from === undefined) return undefined;
  const details = typeof from === 'string' ? { url: from } : from;
  const s3 = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(details.url);
  if (s3 === null) {
    if (details.objectLock !== undefined) {
      parser.fault('repository.objectLock', 'needs a bucket: a folder cannot lock what is in it');
    }
    const configFile = details.sshConfig === undefined ? undefined : parser.absolute('repository', details.sshConfig);
    if (details.url.startsWith('sftp:')) return parseSftp(details.url, configFile, parser);
    if (configFile !== undefined) parser.fault('repository.sshConfig', 'is for sftp:// only');
    return parseLocal(details.url, parser);
  }
  if (details.sshConfig !== undefined) parser.fault('repository.sshConfig', 'is for sftp:// only');
  if ((details.accessKey === undefined) !== (details.secretKey === undefined)) {
    const [there, missing] = details.accessKey === undefined ? ['secretKey', 'accessKey'] : ['accessKey', 'secretKey'];
    parser.fault(`repository.${there}`, `has no ${missing} beside it`);
  }
  const [accessKey, secretKey, sessionToken] = await Promise.all([
    parser.secret('repository.accessKey', details.accessKey, needed),
    parser.secret('repository.secretKey', details.secretKey, needed),
    parser.secret('repository.sessionToken', details.sessionToken, needed),
  ]);
  return {
    kind: 's3',
    bucket: s3[1] ?? '',
    prefix: (s3[2] ?? '').replaceAll(/^\/+|\/+$/g, ''),
    region: details.region,
    endpoint: details.endpoint,
    // Compatible servers seldom have a host name for each bucket.
    pathStyle: details.pathStyle ?? details.endpoint !== undefined,
    storageClass: details.storageClass,
    serverSideEncryption: details.serverSideEncryption,
    kmsKeyId: details.kmsKeyId,
    objectLock: details.objectLock,
    accessKey,
    secretKey,
    sessionToken,
  };
}

function parseLocal(url: string, parser: Parser): RepositoryLocation | undefined {
  if (/^(\/|\.\.?(\/|$))/.test(url)) return { kind: 'local', path: parser.absolute('repository', url) };
  try {
    if (url.startsWith('file:')) return { kind: 'local', path: fileURLToPath(url) };
  } catch {
    parser.fault('repository', 'must be file:///path with an absolute path and no host');
    return undefined;
  }
  const s3 = url.startsWith('s3:');
  parser.fault(
    'repository',
    s3
      ? 'must be s3://bucket/prefix, the bucket in lower case'
      : 'must be file:///path, s3://bucket/prefix or sftp://user@host/path',
  );
  return undefined;
}

/** Names of hosts, of ssh_config too, and addresses. */
const sftpPattern = /^sftp:\/\/(?:([^@/]*)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(?::(\d{1,5}))?(\/.*)$/;

function parseSftp(url: string, configFile: string | undefined, parser: Parser): RepositoryLocation | undefined {
  const [, user, host = '', port, encoded = ''] = sftpPattern.exec(url) ?? [];
  const path = decoded(encoded)?.replace(/^\/(?=~(\/|$))/, '');
  const name = user === undefined ? undefined : decoded(user);
  if (path === undefined || path === '' || path.includes('\0') || Number(port ?? 22) > 65_535) {
    parser.fault('repository', 'must be sftp://user@host:port/path; /~/path is where the server puts the user');
    return undefined;
  }
  if (user !== undefined && (name === undefined || !/^[^\s:@-][^\s:@]*$/.test(name))) {
    // Never shown: it may be a password.
    parser.fault('repository', 'must have no password: ssh uses keys and agents');
    return undefined;
  }
  return {
    kind: 'sftp',
    host: host.replaceAll(/^\[|\]$/g, ''),
    port: port === undefined ? undefined : Number(port),
    user: name,
    path,
    configFile,
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
