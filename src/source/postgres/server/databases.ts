/** Which databases of a server are worth asking. */

/**
 * A condition on pg_database: an interrupted DROP DATABASE has not marked it as invalid (DATCONNLIMIT_INVALID_DB of
 * PostgreSQL's catalog/pg_database.h), after which it takes no sessions any more.
 */
export const isWhole = 'datconnlimit <> -2';
