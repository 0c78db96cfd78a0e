-- The metadata schema, first version. Names are Airflow's words, the layout is ours.
--
-- Instants are microseconds since the epoch (UTC), JSON and UUIDs are text, durations are seconds.
-- A NULL task instance state means "no state".

-- Who runs ---------------------------------------------------------------------------------------

CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_type TEXT NOT NULL,
    state TEXT NOT NULL,
    start_date INTEGER NOT NULL,
    end_date INTEGER,
    latest_heartbeat INTEGER NOT NULL,
    hostname TEXT NOT NULL,
    unixname TEXT NOT NULL,
    pid INTEGER NOT NULL
) STRICT;
CREATE INDEX job_running ON job (job_type, latest_heartbeat) WHERE state = 'running';

CREATE TABLE user_account (
    username TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Dags -------------------------------------------------------------------------------------------

CREATE TABLE dag_bundle (
    name TEXT PRIMARY KEY,
    active INTEGER NOT NULL,
    version TEXT,
    last_refreshed INTEGER,
    team_name TEXT
) STRICT;

CREATE TABLE dag (
    dag_id TEXT PRIMARY KEY,
    dag_display_name TEXT,
    description TEXT,
    is_paused INTEGER NOT NULL,
    is_stale INTEGER NOT NULL,
    has_import_errors INTEGER NOT NULL,
    exceeds_max_non_backfill INTEGER NOT NULL,
    bundle_name TEXT NOT NULL REFERENCES dag_bundle (name),
    bundle_version TEXT,
    relative_fileloc TEXT NOT NULL,
    fileloc TEXT NOT NULL,
    owners TEXT NOT NULL,
    timetable_summary TEXT,
    timetable_description TEXT,
    timetable_type TEXT NOT NULL,
    timetable_partitioned INTEGER NOT NULL,
    asset_expression TEXT,
    max_active_tasks INTEGER NOT NULL,
    max_active_runs INTEGER NOT NULL,
    max_consecutive_failed_dag_runs INTEGER NOT NULL,
    has_task_concurrency_limits INTEGER NOT NULL,
    fail_fast INTEGER NOT NULL,
    allowed_run_types TEXT,
    next_dagrun INTEGER,
    next_dagrun_data_interval_start INTEGER,
    next_dagrun_data_interval_end INTEGER,
    next_dagrun_create_after INTEGER,
    next_dagrun_partition_key TEXT,
    next_dagrun_partition_date INTEGER,
    last_parsed_time INTEGER,
    last_parse_duration REAL,
    last_expired INTEGER
) STRICT;
CREATE INDEX dag_file_place ON dag (bundle_name, relative_fileloc);
CREATE INDEX dag_next_dagrun_create_after ON dag (next_dagrun_create_after);

CREATE TABLE dag_tag (
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (dag_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_tag_name ON dag_tag (name);

CREATE TABLE dag_owner_attributes (
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    link TEXT NOT NULL,
    PRIMARY KEY (dag_id, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE dag_version (
    id TEXT PRIMARY KEY,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    version_number INTEGER NOT NULL,
    bundle_name TEXT,
    bundle_version TEXT,
    dag_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_updated INTEGER NOT NULL,
    UNIQUE (dag_id, version_number)
) STRICT;

CREATE TABLE serialized_dag (
    dag_version_id TEXT PRIMARY KEY REFERENCES dag_version (id) ON DELETE CASCADE,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE dag_code (
    dag_version_id TEXT PRIMARY KEY REFERENCES dag_version (id) ON DELETE CASCADE,
    fileloc TEXT NOT NULL,
    source_code TEXT NOT NULL
) STRICT;

CREATE TABLE dag_file (
    bundle_name TEXT NOT NULL,
    relative_fileloc TEXT NOT NULL,
    last_finish_time INTEGER NOT NULL,
    last_duration REAL NOT NULL,
    last_num_of_dags INTEGER NOT NULL,
    last_num_of_errors INTEGER NOT NULL,
    run_count INTEGER NOT NULL,
    content_hash TEXT,
    PRIMARY KEY (bundle_name, relative_fileloc)
) STRICT, WITHOUT ROWID;

CREATE TABLE dag_priority_parsing_request (
    bundle_name TEXT NOT NULL,
    relative_fileloc TEXT NOT NULL,
    PRIMARY KEY (bundle_name, relative_fileloc)
) STRICT, WITHOUT ROWID;

CREATE TABLE import_error (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp INTEGER NOT NULL,
    bundle_name TEXT NOT NULL,
    filename TEXT NOT NULL,
    stacktrace TEXT NOT NULL,
    UNIQUE (bundle_name, filename)
) STRICT;

CREATE TABLE dag_warning (
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    warning_type TEXT NOT NULL,
    message TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (dag_id, warning_type)
) STRICT, WITHOUT ROWID;

-- Runs and task instances ------------------------------------------------------------------------

CREATE TABLE dag_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    state TEXT NOT NULL,
    run_type TEXT NOT NULL,
    triggered_by TEXT,
    triggering_user_name TEXT,
    logical_date INTEGER,
    data_interval_start INTEGER,
    data_interval_end INTEGER,
    run_after INTEGER NOT NULL,
    queued_at INTEGER,
    start_date INTEGER,
    end_date INTEGER,
    last_scheduling_decision INTEGER,
    conf TEXT NOT NULL,
    clear_number INTEGER NOT NULL,
    note TEXT,
    note_user TEXT,
    partition_key TEXT,
    partition_date INTEGER,
    backfill_id INTEGER,
    creating_job_id INTEGER,
    scheduled_by_job_id INTEGER,
    created_dag_version_id TEXT REFERENCES dag_version (id),
    bundle_name TEXT,
    bundle_version TEXT,
    updated_at INTEGER NOT NULL,
    UNIQUE (dag_id, run_id),
    UNIQUE (dag_id, logical_date)
) STRICT;
CREATE INDEX dag_run_unfinished ON dag_run (state, run_after, dag_id, run_id)
    WHERE state IN ('queued', 'running');
CREATE INDEX dag_run_by_dag_run_after ON dag_run (dag_id, run_after);
CREATE INDEX dag_run_run_after ON dag_run (run_after);
CREATE INDEX dag_run_dag_version ON dag_run (created_dag_version_id);

CREATE TABLE trigger (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    classpath TEXT NOT NULL,
    kwargs TEXT NOT NULL,
    created_date INTEGER NOT NULL,
    triggerer_id INTEGER,
    queue TEXT,
    team_name TEXT
) STRICT;

CREATE TABLE task_instance (
    id TEXT PRIMARY KEY,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    state TEXT,
    try_number INTEGER NOT NULL,
    max_tries INTEGER NOT NULL,
    start_date INTEGER,
    end_date INTEGER,
    duration REAL,
    scheduled_dttm INTEGER,
    queued_dttm INTEGER,
    queued_by_job_id INTEGER,
    last_heartbeat_at INTEGER,
    hostname TEXT NOT NULL,
    unixname TEXT NOT NULL,
    pid INTEGER,
    external_executor_id TEXT,
    pool TEXT NOT NULL,
    pool_slots INTEGER NOT NULL,
    queue TEXT NOT NULL,
    priority_weight INTEGER NOT NULL,
    operator TEXT NOT NULL,
    custom_operator_name TEXT,
    executor TEXT,
    executor_config TEXT NOT NULL,
    trigger_id INTEGER REFERENCES trigger (id) ON DELETE SET NULL,
    trigger_timeout INTEGER,
    next_method TEXT,
    next_kwargs TEXT,
    dag_version_id TEXT REFERENCES dag_version (id),
    retry_delay_override REAL,
    retry_reason TEXT,
    rendered_map_index TEXT,
    note TEXT,
    note_user TEXT,
    updated_at INTEGER NOT NULL,
    UNIQUE (dag_id, run_id, task_id, map_index),
    FOREIGN KEY (dag_id, run_id) REFERENCES dag_run (dag_id, run_id) ON DELETE CASCADE
) STRICT;
-- "Busy" is every state that holds a worker, a pool slot or a place in a limit, or waits for one.
-- SQLite uses the index only where a query repeats this condition word for word.
CREATE INDEX task_instance_busy ON task_instance (state, dag_id, run_id, task_id, pool, pool_slots)
    WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input');
CREATE INDEX task_instance_trigger ON task_instance (trigger_id) WHERE trigger_id IS NOT NULL;
CREATE INDEX task_instance_dag_version ON task_instance (dag_version_id);

CREATE TABLE task_instance_history (
    id TEXT PRIMARY KEY,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    state TEXT,
    try_number INTEGER NOT NULL,
    max_tries INTEGER NOT NULL,
    start_date INTEGER,
    end_date INTEGER,
    duration REAL,
    scheduled_dttm INTEGER,
    queued_dttm INTEGER,
    queued_by_job_id INTEGER,
    last_heartbeat_at INTEGER,
    hostname TEXT NOT NULL,
    unixname TEXT NOT NULL,
    pid INTEGER,
    external_executor_id TEXT,
    pool TEXT NOT NULL,
    pool_slots INTEGER NOT NULL,
    queue TEXT NOT NULL,
    priority_weight INTEGER NOT NULL,
    operator TEXT NOT NULL,
    custom_operator_name TEXT,
    executor TEXT,
    executor_config TEXT NOT NULL,
    trigger_id INTEGER,
    trigger_timeout INTEGER,
    next_method TEXT,
    next_kwargs TEXT,
    dag_version_id TEXT,
    retry_delay_override REAL,
    retry_reason TEXT,
    rendered_map_index TEXT,
    note TEXT,
    note_user TEXT,
    updated_at INTEGER NOT NULL,
    UNIQUE (dag_id, run_id, task_id, map_index, try_number),
    FOREIGN KEY (dag_id, run_id) REFERENCES dag_run (dag_id, run_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE task_reschedule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ti_id TEXT NOT NULL REFERENCES task_instance (id) ON DELETE CASCADE,
    start_date INTEGER NOT NULL,
    end_date INTEGER NOT NULL,
    duration REAL NOT NULL,
    reschedule_date INTEGER NOT NULL
) STRICT;
CREATE INDEX task_reschedule_ti ON task_reschedule (ti_id, id);

CREATE TABLE task_map (
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (dag_id, run_id, task_id, map_index),
    FOREIGN KEY (dag_id, run_id) REFERENCES dag_run (dag_id, run_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE xcom (
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    dag_result INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (dag_id, run_id, task_id, map_index, key),
    FOREIGN KEY (dag_id, run_id) REFERENCES dag_run (dag_id, run_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE rendered_task_instance_fields (
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    rendered_fields TEXT NOT NULL,
    PRIMARY KEY (dag_id, run_id, task_id, map_index),
    FOREIGN KEY (dag_id, run_id) REFERENCES dag_run (dag_id, run_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE task_state_store (
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (dag_id, run_id, task_id, map_index, key),
    FOREIGN KEY (dag_id, run_id) REFERENCES dag_run (dag_id, run_id) ON DELETE CASCADE
) STRICT;

CREATE TABLE slot_pool (
    pool TEXT PRIMARY KEY,
    slots INTEGER NOT NULL,
    description TEXT,
    include_deferred INTEGER NOT NULL,
    team_name TEXT
) STRICT;

CREATE TABLE callback_request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    priority_weight INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    bundle_name TEXT NOT NULL,
    bundle_version TEXT,
    filepath TEXT NOT NULL,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    claimed_until INTEGER
) STRICT;

-- What users keep --------------------------------------------------------------------------------

CREATE TABLE connection (
    conn_id TEXT PRIMARY KEY,
    conn_type TEXT NOT NULL,
    description TEXT,
    host TEXT,
    schema TEXT,
    login TEXT,
    password TEXT,
    port INTEGER,
    extra TEXT,
    is_encrypted INTEGER NOT NULL,
    team_name TEXT
) STRICT;

CREATE TABLE variable (
    key TEXT PRIMARY KEY,
    val TEXT NOT NULL,
    description TEXT,
    is_encrypted INTEGER NOT NULL,
    team_name TEXT
) STRICT;

CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dttm INTEGER NOT NULL,
    event TEXT NOT NULL,
    owner TEXT,
    owner_display_name TEXT,
    dag_id TEXT,
    run_id TEXT,
    task_id TEXT,
    map_index INTEGER,
    try_number INTEGER,
    logical_date INTEGER,
    extra TEXT
) STRICT;
CREATE INDEX log_dttm ON log (dttm);
CREATE INDEX log_task_instance ON log (dag_id, run_id, task_id, map_index, event);

-- Assets -----------------------------------------------------------------------------------------

CREATE TABLE asset (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    asset_group TEXT NOT NULL,
    extra TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (name, uri)
) STRICT;
CREATE UNIQUE INDEX asset_active_name ON asset (name) WHERE is_active;
CREATE UNIQUE INDEX asset_active_uri ON asset (uri) WHERE is_active;

CREATE TABLE asset_alias (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    asset_group TEXT NOT NULL
) STRICT;

CREATE TABLE asset_alias_asset (
    alias_id INTEGER NOT NULL REFERENCES asset_alias (id) ON DELETE CASCADE,
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    PRIMARY KEY (alias_id, asset_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE dag_schedule_asset_reference (
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (asset_id, dag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_schedule_asset_reference_dag ON dag_schedule_asset_reference (dag_id);

CREATE TABLE dag_schedule_asset_alias_reference (
    alias_id INTEGER NOT NULL REFERENCES asset_alias (id) ON DELETE CASCADE,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (alias_id, dag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_schedule_asset_alias_reference_dag ON dag_schedule_asset_alias_reference (dag_id);

CREATE TABLE dag_schedule_asset_name_reference (
    name TEXT NOT NULL,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (name, dag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_schedule_asset_name_reference_dag ON dag_schedule_asset_name_reference (dag_id);

CREATE TABLE dag_schedule_asset_uri_reference (
    uri TEXT NOT NULL,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (uri, dag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_schedule_asset_uri_reference_dag ON dag_schedule_asset_uri_reference (dag_id);

CREATE TABLE task_outlet_asset_reference (
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    task_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (asset_id, dag_id, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_outlet_asset_reference_dag ON task_outlet_asset_reference (dag_id);

CREATE TABLE task_inlet_asset_reference (
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    task_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (asset_id, dag_id, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_inlet_asset_reference_dag ON task_inlet_asset_reference (dag_id);

CREATE TABLE asset_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    extra TEXT NOT NULL,
    source_dag_id TEXT,
    source_run_id TEXT,
    source_task_id TEXT,
    source_map_index INTEGER NOT NULL,
    partition_key TEXT,
    timestamp INTEGER NOT NULL
) STRICT;
CREATE INDEX asset_event_asset ON asset_event (asset_id, timestamp);
CREATE INDEX asset_event_source ON asset_event (source_dag_id, source_run_id);

CREATE TABLE asset_alias_asset_event (
    alias_id INTEGER NOT NULL REFERENCES asset_alias (id) ON DELETE CASCADE,
    event_id INTEGER NOT NULL REFERENCES asset_event (id) ON DELETE CASCADE,
    PRIMARY KEY (alias_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_alias_asset_event_event ON asset_alias_asset_event (event_id);

CREATE TABLE asset_dag_run_queue (
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    target_dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (asset_id, target_dag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_dag_run_queue_dag ON asset_dag_run_queue (target_dag_id);

CREATE TABLE dagrun_asset_event (
    dag_run_id INTEGER NOT NULL REFERENCES dag_run (id) ON DELETE CASCADE,
    event_id INTEGER NOT NULL REFERENCES asset_event (id) ON DELETE CASCADE,
    PRIMARY KEY (dag_run_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dagrun_asset_event_event ON dagrun_asset_event (event_id);

CREATE TABLE asset_state_store (
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    writer_kind TEXT NOT NULL,
    writer_dag_id TEXT,
    writer_run_id TEXT,
    writer_task_id TEXT,
    writer_map_index INTEGER,
    PRIMARY KEY (asset_id, key)
) STRICT, WITHOUT ROWID;
