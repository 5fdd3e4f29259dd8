/**
 * Who may connect to a server that recovers a cluster: its superuser, and only for processes that the kernel says are
 * ours. No password can be set before it has recovered, and on a socket without one (trust) every process that comes
 * to it is a superuser: one of the server's own uid, or code in the server itself that connects to it once more.
 */
import { userInfo } from 'node:os';
import { systemUsers } from '../../../lib/free-user.ts';
import type { Isolation } from '../../../lib/isolation.ts';
import type { ServerAccess } from './quarters.ts';

/**
 * @param superuser - of the cluster
 * @param isLasting - an operator may use it later: as us, or as the user whom it belongs to
 */
export function peerAccess(superuser: string, isolation: Isolation, isLasting: boolean): ServerAccess {
  const names = [ourName(isolation), ...(isLasting ? ownerNames(isolation) : [])];
  return {
    hba: 'local all all peer map=lifeboat\n',
    ident: [...new Set(names)].map((name) => `lifeboat ${quote(name)} ${quote(superuser)}\n`).join(''),
  };
}

/** As the server looks it up: in the passwd file of its sandbox (sandbox.ts), or in the machine's. */
function ourName({ kind, owner }: Isolation): string {
  if (kind === 'namespaces') return owner === undefined ? 'lifeboat' : 'root';
  return userInfo().username;
}

function ownerNames({ owner }: Isolation): string[] {
  const known = systemUsers().find(({ uid }) => uid === owner?.uid);
  return known === undefined ? [] : [known.name];
}

/** A token of these files: keywords lose their meaning in quotes. */
function quote(token: string): string {
  return `"${token.replaceAll('"', '""')}"`;
}
