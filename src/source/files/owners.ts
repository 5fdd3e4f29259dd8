/**
 * Names of users and groups, both ways, from /etc/passwd and /etc/group: Node has no call for others
 * than ourselves. Names that only a directory service knows stay numbers.
 */
import { readFileSync } from 'node:fs';

export interface OwnerNames {
  user(uid: number): string;
  group(gid: number): string;
  uid(user: string): number | undefined;
  gid(group: string): number | undefined;
}

export function readOwnerNames(passwdFile = '/etc/passwd', groupFile = '/etc/group'): OwnerNames {
  const users = readTable(passwdFile);
  const groups = readTable(groupFile);
  return {
    user: (uid) => users.names.get(uid) ?? '',
    group: (gid) => groups.names.get(gid) ?? '',
    uid: (user) => users.numbers.get(user),
    gid: (group) => groups.numbers.get(group),
  };
}

function readTable(file: string): { names: Map<number, string>; numbers: Map<string, number> } {
  const names = new Map<number, string>();
  const numbers = new Map<string, number>();
  for (const line of readLines(file)) {
    const [name, , number] = line.split(':');
    if (name === undefined || name === '' || number === undefined || !/^\d+$/.test(number)) continue;
    // The first line with a number gives its name, as getpwuid has it.
    if (!names.has(Number(number))) names.set(Number(number), name);
    if (!numbers.has(name)) numbers.set(name, Number(number));
  }
  return { names, numbers };
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}
