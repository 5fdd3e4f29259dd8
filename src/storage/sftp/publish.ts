/**
 * How a complete temporary file of an SFTP server gets its name without ever replacing another object: by a second
 * name where the server can give one, which fails if it is taken; else by the protocol's own rename, which must fail
 * then, too (section 6.5 of the draft; OpenSSH keeps that without a gap where the file system has links).
 */
import type { AlreadyExistsError } from '../storage.ts';
import { StatusError } from './channel.ts';
import { ignoreAbsent, isAbsent } from './errors.ts';
import type { Session } from './session.ts';

/**
 * Throws AlreadyExistsError. `temporary` may remain: the caller removes it. Whatever a server's code for "taken" is, it
 * is looked whether the name is there.
 */
export async function publish(
  session: Session,
  temporary: string,
  path: string,
  taken: AlreadyExistsError,
): Promise<void> {
  try {
    if (session.extensions.hardlink) return await session.link(temporary, path);
  } catch (error) {
    await refuseTaken(session, path, error, taken);
    // A file system without links.
  }
  try {
    await session.rename(temporary, path);
  } catch (error) {
    await refuseTaken(session, path, error, taken);
    throw error;
  }
}

async function refuseTaken(session: Session, path: string, error: unknown, taken: AlreadyExistsError): Promise<void> {
  // The folder is gone, or the session.
  if (isAbsent(error) || !(error instanceof StatusError)) throw error;
  const found = await session.lstat(path).catch(ignoreAbsent);
  if (found !== undefined) throw taken;
}
