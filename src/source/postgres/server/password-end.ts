/** Until when a connection's role may log in by password: VALID UNTIL, which nobody is told of before it is over. */
import type { Connection } from './connection.ts';

export interface PasswordEnd {
  readonly role: string;
  /** Milliseconds since 1970. */
  readonly endsMs: number;
}

/** Undefined where it is good for ever. Other ways to log in are not affected by it. */
export async function readPasswordEnd(connection: Connection): Promise<PasswordEnd | undefined> {
  const [row] = await connection.query(`
    SELECT rolname AS role, floor(extract(epoch FROM rolvaliduntil) * 1000) AS ends
    FROM pg_roles
    WHERE rolname = session_user AND isfinite(rolvaliduntil)`);
  return row === undefined ? undefined : { role: row['role'] ?? '', endsMs: Number(row['ends']) };
}
