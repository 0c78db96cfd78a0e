-- What a trigger belongs to, and which assets are watched.

ALTER TABLE trigger ADD COLUMN kind TEXT NOT NULL DEFAULT 'task';
ALTER TABLE trigger ADD COLUMN priority_weight INTEGER NOT NULL DEFAULT 0;
-- Of kind `asset`: made of class path and arguments, so that equal watchers share one trigger.
ALTER TABLE trigger ADD COLUMN fingerprint TEXT;
-- Of kind `callback`: which one it runs, and how that went.
ALTER TABLE trigger ADD COLUMN callback_id TEXT;
ALTER TABLE trigger ADD COLUMN callback_state TEXT;
ALTER TABLE trigger ADD COLUMN callback_output TEXT;

CREATE UNIQUE INDEX trigger_fingerprint ON trigger (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE UNIQUE INDEX trigger_callback ON trigger (callback_id) WHERE callback_id IS NOT NULL;
CREATE INDEX trigger_unassigned ON trigger (kind, priority_weight DESC, created_date, id)
    WHERE triggerer_id IS NULL;
CREATE INDEX trigger_triggerer ON trigger (triggerer_id) WHERE triggerer_id IS NOT NULL;

CREATE TABLE asset_watcher (
    asset_id INTEGER NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
    trigger_id INTEGER NOT NULL REFERENCES trigger (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (asset_id, trigger_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_watcher_trigger ON asset_watcher (trigger_id);

CREATE INDEX task_instance_trigger_timeout ON task_instance (trigger_timeout)
    WHERE state = 'deferred' AND trigger_timeout IS NOT NULL;
