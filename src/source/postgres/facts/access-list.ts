/**
 * The access list of a database as data; statements are built from it at a restore. Backups of earlier versions hold
 * statements, with a placeholder for the database's name. Whoever may name a role could write that placeholder into
 * it: such a statement is taken apart by one pattern for the whole of it, and no recorded text is ever run.
 */
import { z } from 'zod';

/** Rights on a database, by the names that GRANT takes. */
const privilege = z.enum(['CREATE', 'CONNECT', 'TEMPORARY']);

export const databaseGrant = z.strictObject({
  /** Absent: PUBLIC. */
  role: z.string().optional(),
  privileges: z.array(privilege).min(1),
  /** WITH GRANT OPTION. */
  grantable: z.boolean(),
});

export type DatabaseGrant = z.infer<typeof databaseGrant>;

/** What facts hold of it: the first of now, the second of earlier versions. */
export interface RecordedAccess {
  readonly accessList?: readonly DatabaseGrant[] | undefined;
  readonly grants?: readonly string[] | undefined;
}

/** `grants` undefined: the list is the default one. `refused` are recorded statements that are not of our form. */
export function accessListOf({ accessList, grants = [] }: RecordedAccess): {
  readonly grants: readonly DatabaseGrant[] | undefined;
  readonly refused: readonly string[];
} {
  if (accessList !== undefined) return { grants: accessList, refused: [] };
  if (grants.length === 0) return { grants: undefined, refused: [] };
  const statements = grants.filter((each) => each !== 'REVOKE ALL ON DATABASE :DATABASE: FROM PUBLIC');
  const parsed = statements.map(fromStatement);
  return {
    grants: parsed.filter((each) => each !== undefined),
    refused: statements.filter((_, index) => parsed[index] === undefined),
  };
}

const rights = '([A-Z]+(?:, [A-Z]+)*)';
const grantee = '(?:"((?:[^"]|"")+)"|([a-z_][a-z0-9_]*|PUBLIC))';
const statement = new RegExp(`^GRANT ${rights} ON DATABASE :DATABASE: TO ${grantee}( WITH GRANT OPTION)?$`);

/** quote_ident() leaves bare what is lower case only, so a role that is called PUBLIC stands in quotes. */
function fromStatement(text: string): DatabaseGrant | undefined {
  const [, privileges = '', quoted, plain, option] = statement.exec(text) ?? [];
  const role = quoted === undefined ? plain : quoted.replaceAll('""', '"');
  return databaseGrant.safeParse({
    ...(plain === 'PUBLIC' ? {} : { role }),
    privileges: privileges.split(', '),
    grantable: option !== undefined,
  }).data;
}
