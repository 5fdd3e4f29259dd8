/** Names of the streams of a base backup. */

/**
 * A tar with the data directory. In it, last, is PostgreSQL's backup_manifest, unless that is an artifact of its own.
 */
export const baseArtifact = 'base.tar';

/** PostgreSQL's own manifest, where there are several tablespaces. */
export const manifestArtifact = 'backup_manifest';

/** The server's configuration, wherever it lay (configuration.ts). Older backups have none. */
export const configurationArtifact = 'configuration.json';

/** A tar with the files of a tablespace outside of the data directory. */
export function tablespaceArtifact(oid: string): string {
  return `tablespace-${oid}.tar`;
}
