-- Backfills. All their dates are written with the backfill itself; runs are made for them step by
-- step, so that no transaction grows with the number of dates.

CREATE TABLE backfill (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    from_date INTEGER NOT NULL,
    to_date INTEGER NOT NULL,
    dag_run_conf TEXT,
    is_paused INTEGER NOT NULL,
    reprocess_behavior TEXT NOT NULL,
    max_active_runs INTEGER NOT NULL,
    run_on_latest_version INTEGER NOT NULL,
    triggering_user_name TEXT,
    created_at INTEGER NOT NULL,
    completed_at INTEGER,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX backfill_by_dag ON backfill (dag_id, id);
-- A Dag has at most one backfill that is not completed.
CREATE UNIQUE INDEX backfill_active ON backfill (dag_id) WHERE completed_at IS NULL;

-- "Pending": nobody has looked yet whether a run is to be made. Without a run afterwards, either
-- none was made, for the reason that stands there, or it was deleted.
CREATE TABLE backfill_dag_run (
    backfill_id INTEGER NOT NULL REFERENCES backfill (id) ON DELETE CASCADE,
    sort_ordinal INTEGER NOT NULL,
    run_after INTEGER NOT NULL,
    data_interval_start INTEGER,
    data_interval_end INTEGER,
    partition_key TEXT,
    partition_date INTEGER,
    is_pending INTEGER NOT NULL,
    dag_run_id INTEGER REFERENCES dag_run (id) ON DELETE SET NULL,
    exception_reason TEXT,
    PRIMARY KEY (backfill_id, sort_ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX backfill_dag_run_by_run ON backfill_dag_run (dag_run_id)
    WHERE dag_run_id IS NOT NULL;
CREATE INDEX backfill_dag_run_pending ON backfill_dag_run (backfill_id, sort_ordinal)
    WHERE is_pending;

CREATE INDEX dag_run_by_backfill ON dag_run (backfill_id, state) WHERE backfill_id IS NOT NULL;
CREATE INDEX dag_run_by_partition_date ON dag_run (dag_id, partition_date)
    WHERE partition_date IS NOT NULL;
