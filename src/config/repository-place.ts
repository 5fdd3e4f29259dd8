/** How a repository's place is written: for people, and in what this host remembers of it. */
import type { RepositoryLocation, SftpLocation } from './config.ts';

/** `file:///path`, `s3://bucket/prefix` or `sftp://user@host:port/path`; no credentials. */
export function repositoryUrl(location: RepositoryLocation): string {
  if (location.kind === 'local') return `file://${location.path}`;
  if (location.kind === 'sftp') return sftpUrl(location);
  return `s3://${location.bucket}/${location.prefix}`;
}

/** With the server that a bucket is on, where that is not AWS. */
export function repositoryPlace(location: RepositoryLocation): string {
  const url = repositoryUrl(location);
  return location.kind === 's3' && location.endpoint !== undefined ? `${url} at ${location.endpoint}` : url;
}

/** As it is configured: what parseRepository reads. */
export function sftpUrl({ user, host, port, path }: SftpLocation): string {
  const at = user === undefined ? '' : `${encodeURIComponent(user)}@`;
  const name = host.includes(':') ? `[${host}]` : host;
  const place = path.split('/').map(encodeURIComponent).join('/').replace(/^~/, '/~');
  return `sftp://${at}${name}${port === undefined ? '' : `:${port}`}${place}`;
}
