/**
 * How far a server has its write-ahead log, as SQL: a standby refuses the functions of a primary ("recovery is in
 * progress"), and knows of what it received and of what it replayed; one that reads an archive has received nothing.
 */
const onStandby = 'greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())';

/** As far as it is written; on a standby as far as it has come there. */
export const writtenLsn = `CASE WHEN pg_is_in_recovery() THEN ${onStandby} ELSE pg_current_wal_lsn() END`;

/** As far as it is durable, which is as far as it can be streamed. */
export const flushedLsn = `CASE WHEN pg_is_in_recovery() THEN ${onStandby} ELSE pg_current_wal_flush_lsn() END`;
