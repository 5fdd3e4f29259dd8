/** One member of a file tree: what both its header in the tar and its line in the catalog tell of it. */

/** What a member can be; other kinds of files (sockets, pipes) are not backed up. */
export type EntryType = 'file' | 'folder' | 'symlink' | 'hardlink' | 'char' | 'block';

/** The numbers of a device node. */
export interface Device {
  readonly major: number;
  readonly minor: number;
}

/** What a header tells of a member. `path` and `link` are bytes without a leading or trailing slash. */
export interface TarMember {
  readonly path: Buffer;
  readonly type: EntryType;
  /** Permission bits, 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Names of owner and group; empty if unknown. */
  readonly user: string;
  readonly group: string;
  /** Bytes of content that follow, a map included; 0 for all but files. */
  readonly size: number;
  /** Of a file with large holes, whose content is a map and what it has of data: how long the file is, bytes. */
  readonly length?: number;
  readonly mtimeNs: bigint;
  /** Target of a symlink, or the path of the member that a hard link is another name of. */
  readonly link?: Buffer;
  readonly device?: Device;
}
