-- Partitions of assets, and who watches which asset.

-- Events with a partition key whose keys for a Dag have yet to be found: that may take Python, so
-- it does not happen where the event is written.
CREATE TABLE asset_partition_queue (
    target_dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    event_id INTEGER NOT NULL REFERENCES asset_event (id) ON DELETE CASCADE,
    -- Of the run that caused the event, if the event is about the partition of the run.
    partition_date INTEGER,
    PRIMARY KEY (target_dag_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_partition_queue_event ON asset_partition_queue (event_id);

-- A run to come, or one that came: one partition of one Dag.
CREATE TABLE asset_partition_dag_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    target_dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    partition_key TEXT NOT NULL,
    partition_date INTEGER,
    -- JSON: the mappers under which it collects; under others its events mean nothing.
    rollup_fingerprint TEXT NOT NULL,
    created_dag_run_id INTEGER REFERENCES dag_run (id) ON DELETE CASCADE,
    -- How often something happened to it, and up to which time it was looked at.
    touched INTEGER NOT NULL,
    looked_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX asset_partition_dag_run_pending
    ON asset_partition_dag_run (target_dag_id, partition_key) WHERE created_dag_run_id IS NULL;
CREATE INDEX asset_partition_dag_run_unseen ON asset_partition_dag_run (target_dag_id, id)
    WHERE created_dag_run_id IS NULL AND touched <> looked_at;
CREATE INDEX asset_partition_dag_run_created ON asset_partition_dag_run (created_dag_run_id)
    WHERE created_dag_run_id IS NOT NULL;

-- Which events came for it.
CREATE TABLE partitioned_asset_key_log (
    asset_partition_dag_run_id INTEGER NOT NULL
        REFERENCES asset_partition_dag_run (id) ON DELETE CASCADE,
    asset_event_id INTEGER NOT NULL REFERENCES asset_event (id) ON DELETE CASCADE,
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    source_partition_key TEXT NOT NULL,
    PRIMARY KEY (asset_partition_dag_run_id, asset_event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX partitioned_asset_key_log_event ON partitioned_asset_key_log (asset_event_id);
CREATE INDEX partitioned_asset_key_log_asset ON partitioned_asset_key_log (asset_id);

-- JSON: the watchers that the Dag defines for the asset it is scheduled on.
ALTER TABLE dag_schedule_asset_reference ADD COLUMN watchers TEXT NOT NULL DEFAULT '[]';
CREATE INDEX dag_schedule_asset_reference_watched ON dag_schedule_asset_reference (asset_id)
    WHERE watchers <> '[]';
