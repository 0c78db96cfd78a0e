//! Rows of `task_instance_history`: tries that are over.

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, MapIndex, RunId, TaskId, TaskInstanceId};

use crate::dialect::Kind;
use crate::row::{assembled, micros, text_array};
use crate::task_instance::{TASK_INSTANCE_COLUMNS, task_instance_from};
use crate::{Error, Reader, Tx};

/// A condition on the state of a row.
const FINISHED: &str =
    "COALESCE(state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed'), FALSE)";

/// A try that ends and the id its successor will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    pub old: TaskInstanceId,
    pub new: TaskInstanceId,
}

impl Tx {
    /// Ends tries: copies each row into the history under its old id, deletes its reschedules and
    /// gives the live row the new id. From then on messages of the old try find nothing.
    ///
    /// The history keeps the state of a finished row; anything else is written down as failed.
    /// State and try number of the live row are the caller's next step.
    pub async fn archive_tries(
        &mut self,
        successions: &[Succession],
        now: Timestamp,
    ) -> Result<(), Error> {
        if successions.is_empty() {
            return Ok(());
        }
        let old = text_array(successions.iter().map(|each| each.old));
        self.copy_to_history(&old, now).await?;
        self.keep_hitl_details(&old).await?;
        let of_ti = self.dialect().one_of_texts("ti_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM task_reschedule WHERE {of_ti}"
        )))
        .bind(old);
        self.execute("forget reschedules", statement).await?;

        let pairs = self
            .dialect()
            .rows("$1", "given", &[("old", Kind::Text), ("new", Kind::Text)]);
        // Quirk §1.5: a try that is cut off has ended, also in the live row.
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET id = given.new,
                    end_date = CASE WHEN {FINISHED} THEN end_date
                                    ELSE COALESCE(end_date, $2) END,
                    duration = CASE WHEN {FINISHED} OR end_date IS NOT NULL THEN duration
                                    ELSE ($2 - start_date) / 1000000.0 END
               FROM {pairs}
              WHERE id = given.old"
        )))
        .bind(
            Value::from_iter(
                successions
                    .iter()
                    .map(|each| json!({"old": each.old, "new": each.new})),
            )
            .to_string(),
        )
        .bind(micros(now));
        self.execute("give task instances new ids", statement)
            .await?;
        Ok(())
    }

    async fn copy_to_history(&mut self, ids: &str, now: Timestamp) -> Result<(), Error> {
        let copied: Vec<String> = TASK_INSTANCE_COLUMNS
            .split(", ")
            .map(|column| match column.trim() {
                "state" => format!("CASE WHEN {FINISHED} THEN state ELSE 'failed' END"),
                "end_date" => "COALESCE(end_date, $2)".to_owned(),
                "duration" => "COALESCE(duration, ($2 - start_date) / 1000000.0)".to_owned(),
                column => column.to_owned(),
            })
            .collect();
        let copied = copied.join(", ");
        let theirs = self.dialect().one_of_texts("id", "$1");
        // A repeated try number, as after two clears without a run between, keeps the first entry.
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO task_instance_history ({TASK_INSTANCE_COLUMNS}, note_user)
             SELECT {copied}, note_user FROM task_instance WHERE {theirs}
             ON CONFLICT DO NOTHING"
        )))
        .bind(ids)
        .bind(micros(now));
        self.execute("keep tries in the history", statement).await?;
        Ok(())
    }
}

impl Reader {
    /// The past tries of a task instance, oldest first; the live one is not among them.
    pub async fn load_past_tries(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: &TaskId,
        map_index: MapIndex,
    ) -> Result<Vec<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance_history
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4
              ORDER BY try_number"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(task_id.as_str())
        .bind(map_index.0);
        self.fetch_all("load past tries", statement)
            .await?
            .iter()
            .map(task_instance_from)
            .collect()
    }

    /// A try that is over, by the id it had.
    pub async fn find_past_try(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS} FROM task_instance_history WHERE id = $1"
        )))
        .bind(id.to_string());
        self.fetch_optional("load a past try", statement)
            .await?
            .as_ref()
            .map(task_instance_from)
            .transpose()
    }
}
