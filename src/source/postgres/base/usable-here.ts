/**
 * Settings of a server's configuration that name what is not on this host: a server would not start with them. What
 * counts instead goes to the end of postgresql.auto.conf, where it can be seen and taken away.
 */
import { statSync, type Stats } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Owner } from '../../../lib/owners.ts';

export interface Here {
  readonly dataDir: string;
  /** Whom the server will run as; undefined: us. */
  readonly owner: Owner | undefined;
}

/** Name and value of what is to be set, by the settings that count (latin1). */
export function overridesFor(settings: ReadonlyMap<string, string>, here: Here): [string, string][] {
  const overrides: [string, string][] = [];
  const sockets = listOf(settings.get('unix_socket_directories'));
  const usable = sockets.filter((each) => isWritable(each, here));
  if (usable.length < sockets.length) {
    overrides.push(['unix_socket_directories', usable.length > 0 ? usable.join(', ') : '/tmp']);
  }
  const addresses = listOf(settings.get('listen_addresses'));
  if (addresses.length > 0 && !addresses.some(isOurs)) overrides.push(['listen_addresses', 'localhost']);
  if (isOn(settings.get('ssl')) && !certificatesOf(settings).every((each) => isThere(each, here))) {
    overrides.push(['ssl', 'off']);
  }
  const logs = settings.get('log_directory') ?? 'log';
  if (isOn(settings.get('logging_collector')) && logs.startsWith('/') && !isWritable(logs, here)) {
    overrides.push(['log_directory', 'log']);
  }
  return overrides;
}

function certificatesOf(settings: ReadonlyMap<string, string>): string[] {
  const others = ['ssl_ca_file', 'ssl_crl_file', 'ssl_crl_dir', 'ssl_dh_params_file'];
  return [
    settings.get('ssl_cert_file') ?? 'server.crt',
    settings.get('ssl_key_file') ?? 'server.key',
    ...others.flatMap((name) => settings.get(name) || []),
  ];
}

function statOf(path: string, { dataDir }: Here): Stats | undefined {
  try {
    return statSync(Buffer.from(path.startsWith('/') ? path : `${dataDir}/${path}`, 'latin1'));
  } catch {
    return undefined;
  }
}

function isThere(path: string, here: Here): boolean {
  return statOf(path, here) !== undefined;
}

/** A folder that its user may write to; what further groups allow is not asked for. An abstract socket is one. */
function isWritable(path: string, here: Here): boolean {
  if (path.startsWith('@')) return true;
  const found = statOf(path, here);
  if (found === undefined || !found.isDirectory()) return false;
  const { uid, gid } = here.owner ?? { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const shift = uid === found.uid ? 6 : gid === found.gid ? 3 : 0;
  return uid === 0 || ((found.mode >> shift) & 0o3) === 0o3;
}

/** Names and wildcards may be anything; an address is one of this host's or not. */
function isOurs(address: string): boolean {
  if (!/^[\d.]+$|:/.test(address) || ['0.0.0.0', '::'].includes(address)) return true;
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return own.some((each) => each.address === address);
}

function listOf(list = ''): string[] {
  return list.split(',').flatMap((each) => each.trim().replace(/^"(.*)"$/, '$1') || []);
}

function isOn(value = ''): boolean {
  return /^(on|t(r(ue?)?)?|y(es?)?|1)$/i.test(value);
}
