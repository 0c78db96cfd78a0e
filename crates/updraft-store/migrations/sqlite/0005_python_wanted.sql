-- What the user's Python must be asked. Marks in rows, because nobody asks inside a transaction.

-- The id that the timetable gives the next run, if it makes ids of its own.
ALTER TABLE dag ADD COLUMN next_dagrun_run_id TEXT;
-- Set while the next run is to be asked of Python; the number tells one wish from the next.
ALTER TABLE dag ADD COLUMN next_dagrun_asked INTEGER;
CREATE INDEX dag_next_dagrun_asked ON dag (next_dagrun_asked) WHERE next_dagrun_asked IS NOT NULL;

-- 0: settled. 1: the cluster's mutation hook has not seen it yet. 2: nor has its weight rule.
ALTER TABLE task_instance ADD COLUMN settling INTEGER NOT NULL DEFAULT 0;
CREATE INDEX task_instance_settling ON task_instance (dag_id, run_id) WHERE settling > 0;

-- One row: what plugins and settings of the cluster want to be asked or told.
CREATE TABLE plugin_inventory (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- 'none', 'defined', or 'unknown' until Python has said.
    mutation_hook TEXT NOT NULL,
    -- JSON: names of listeners by hook.
    listeners TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Who calls listeners, and until when it is believed to be alive.
    caller TEXT,
    caller_until INTEGER
) STRICT;

-- What listeners are still to be told, in this order.
CREATE TABLE listener_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hook TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
