-- Questions to people, deadlines of runs and their callbacks, connection tests, favourites.

-- Human in the loop ------------------------------------------------------------------------------

-- A row follows its task instance to the next try, whose question replaces it.
CREATE TABLE hitl_detail (
    ti_id TEXT PRIMARY KEY REFERENCES task_instance (id) ON DELETE CASCADE ON UPDATE CASCADE,
    options TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT,
    defaults TEXT,
    multiple INTEGER NOT NULL,
    params TEXT NOT NULL,
    assignees TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    responded_at INTEGER,
    responded_by_user_id TEXT,
    responded_by_user_name TEXT,
    chosen_options TEXT,
    params_input TEXT NOT NULL
) STRICT;

CREATE TABLE hitl_detail_history (
    ti_history_id TEXT PRIMARY KEY REFERENCES task_instance_history (id) ON DELETE CASCADE,
    options TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT,
    defaults TEXT,
    multiple INTEGER NOT NULL,
    params TEXT NOT NULL,
    assignees TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    responded_at INTEGER,
    responded_by_user_id TEXT,
    responded_by_user_name TEXT,
    chosen_options TEXT,
    params_input TEXT NOT NULL
) STRICT;

-- Who waits for a person and until when.
CREATE INDEX task_instance_input_due ON task_instance (trigger_timeout)
    WHERE state = 'awaiting_input' AND trigger_timeout IS NOT NULL;

-- Deadlines --------------------------------------------------------------------------------------

-- What a version of a Dag says about deadlines of its runs.
CREATE TABLE deadline_alert (
    id TEXT PRIMARY KEY,
    dag_version_id TEXT NOT NULL REFERENCES dag_version (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT,
    reference TEXT NOT NULL,
    interval TEXT NOT NULL,
    callback_def TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX deadline_alert_dag_version ON deadline_alert (dag_version_id, position);

-- A deadline without a time waits to be computed by somebody who may ask more than the database.
CREATE TABLE deadline (
    id TEXT PRIMARY KEY,
    dag_run_id INTEGER NOT NULL REFERENCES dag_run (id) ON DELETE CASCADE,
    deadline_alert_id TEXT REFERENCES deadline_alert (id) ON DELETE SET NULL,
    reference_time INTEGER,
    deadline_time INTEGER,
    missed INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX deadline_run ON deadline (dag_run_id);
CREATE INDEX deadline_alert_id ON deadline (deadline_alert_id);
CREATE INDEX deadline_open ON deadline (deadline_time) WHERE NOT missed;

-- Callbacks that the triggerer or an executor runs. While the triggerer has one, a trigger names it.
-- Those of the Dag processor are rows of `callback_request`.
CREATE TABLE callback (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    fetch_method TEXT NOT NULL,
    data TEXT NOT NULL,
    bundle_name TEXT,
    state TEXT NOT NULL,
    output TEXT,
    priority_weight INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deadline_id TEXT REFERENCES deadline (id) ON DELETE CASCADE,
    queued_by_job_id INTEGER,
    attempts INTEGER NOT NULL
) STRICT;
CREATE INDEX callback_unfinished ON callback (type, state, priority_weight)
    WHERE state IN ('pending', 'queued', 'running');
CREATE INDEX callback_deadline ON callback (deadline_id);

-- Who holds a request; the requests of a job that died are free at once.
ALTER TABLE callback_request ADD COLUMN claimed_by_job_id INTEGER;

-- Connection tests -------------------------------------------------------------------------------

CREATE TABLE connection_test_request (
    id TEXT PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    connection_id TEXT NOT NULL,
    -- The id again while the test is not over: one at a time.
    active_connection_id TEXT UNIQUE,
    state TEXT NOT NULL,
    result_message TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    executor TEXT,
    queue TEXT,
    conn_type TEXT NOT NULL,
    host TEXT,
    schema TEXT,
    login TEXT,
    password TEXT,
    port INTEGER,
    extra TEXT,
    is_encrypted INTEGER NOT NULL,
    commit_on_success INTEGER NOT NULL,
    team_name TEXT,
    queued_by_job_id INTEGER
) STRICT;
CREATE INDEX connection_test_request_state ON connection_test_request (state, created_at);

-- Favourites -------------------------------------------------------------------------------------

CREATE TABLE dag_favorite (
    user_id TEXT NOT NULL,
    dag_id TEXT NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, dag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dag_favorite_dag ON dag_favorite (dag_id);
