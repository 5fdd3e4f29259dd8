/** libpq's sslmode as settings of Node's TLS: in which order to try with and without it, and what to verify. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import { LifeboatError } from '../../../lib/errors.ts';
import { fileReason } from '../../../lib/file-errors.ts';
import type { PostgresUrl } from '../../../config/postgres-url.ts';

/** The ways to connect, to be tried in this order; `false` is without TLS. */
export async function tlsAttempts(url: PostgresUrl): Promise<readonly (ConnectionOptions | false)[]> {
  const mode = url.parameters.get('sslmode') ?? 'prefer';
  if (url.address.startsWith('/') || mode === 'disable') return [false];
  switch (mode) {
    case 'allow':
      return [false, await tlsOptions(url, 'require')];
    case 'prefer':
      return [await tlsOptions(url, 'require'), false];
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return [await tlsOptions(url, mode)];
    default:
      throw new LifeboatError('usage', `unknown sslmode "${mode}"`, {
        hint: 'use disable, allow, prefer, require, verify-ca or verify-full',
      });
  }
}

async function tlsOptions(url: PostgresUrl, mode: 'require' | 'verify-ca' | 'verify-full'): Promise<ConnectionOptions> {
  const given = (name: string): string | undefined => url.parameters.get(name);
  const authority = given('sslrootcert') === 'system' ? undefined : await readPem(given('sslrootcert'), 'root.crt');
  const cert = await readPem(given('sslcert'), 'postgresql.crt');
  const key = cert === undefined ? undefined : await readPem(given('sslkey'), 'postgresql.key');
  // As libpq does: a root certificate turns "require" into "verify-ca".
  const verify = mode !== 'require' || (authority !== undefined && url.parameters.get('sslmode') === 'require');
  if (verify && authority === undefined && given('sslrootcert') !== 'system') {
    throw new LifeboatError('usage', `sslmode ${mode} needs a root certificate`, {
      hint: 'name one with sslrootcert=/path/ca.pem, or sslrootcert=system',
    });
  }
  return {
    rejectUnauthorized: verify,
    // By the server's name, wherever it is reached; what is no name cannot be announced.
    ...(isIP(url.host) === 0 ? { servername: url.host } : {}),
    checkServerIdentity: (_, found) => (mode === 'verify-full' ? checkServerIdentity(url.host, found) : undefined),
    ...(authority === undefined ? {} : { ca: authority }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** A named file must be there; the default one in ~/.postgresql may be. */
async function readPem(path: string | undefined, defaultName: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path ?? join(homedir(), '.postgresql', defaultName));
  } catch (error) {
    if (path === undefined) return undefined;
    throw new LifeboatError('usage', `cannot read the TLS file ${path}: ${fileReason(error)}`, { cause: error });
  }
}
