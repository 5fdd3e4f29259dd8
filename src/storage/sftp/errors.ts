/** Turns what an SFTP server answers into errors that an operator can act on. Judged by code only. */
import { LifeboatError, messageOf } from '../../lib/errors.ts';
import { printable } from '../../lib/printable.ts';
import { StorageError } from '../storage.ts';
import { SessionLostError, StatusError } from './channel.ts';
import { MalformedError, statusCode } from './packets.ts';

/** `act` is what was tried and on what, e.g. "cannot write packs/ab/cd.pack to sftp://host/backup". */
export function sftpError(act: string, error: unknown): Error {
  if (error instanceof LifeboatError) return error;
  const said = printable(messageOf(error).slice(0, 500));
  if (error instanceof SessionLostError) {
    return new StorageError(`${act}: the connection was lost: ${said}`, { retryable: true, cause: error });
  }
  if (error instanceof StatusError) return statusError(`${act}: ${said}`, error);
  if (error instanceof MalformedError) {
    const hint = 'something that is printed when a shell starts there (in .bashrc) gets in between';
    return new StorageError(`${act}: ${said}`, { hint, cause: error });
  }
  return error instanceof Error ? error : new Error(String(error));
}

function statusError(message: string, error: StatusError): StorageError {
  const isDenied = error.code === statusCode.permissionDenied;
  const hint = isDenied ? 'give the user of the connection the right to do that there' : undefined;
  // "Failure" may be anything, a passing one too.
  const isPassing = [statusCode.failure, statusCode.noConnection, statusCode.connectionLost].some(
    (code) => code === error.code,
  );
  return new StorageError(message, { hint, retryable: isPassing, cause: error });
}

/** True if the server says that nothing of that name is there. */
export function isAbsent(error: unknown): boolean {
  return error instanceof StatusError && error.code === statusCode.noSuchFile;
}

/** For `.catch()`: absent becomes undefined, anything else is thrown again. */
export function ignoreAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
}
