/** Why a message did not arrive, as far as the next attempt depends on it. */

/** The other side will not take this message, however often it is sent. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

export function isRefusal(error: unknown): boolean {
  return error instanceof RefusedError;
}
