//! Rows of `task_instance`: the whole row, creation, deletion. What a pass needs is in
//! [`crate::scheduling`], what a running try needs in the session modules.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::state_store::TaskScope;
use updraft_model::task_instance::{NewTaskInstance, TaskInstance};
use updraft_model::{
    DagId, DagVersionId, JobId, MapIndex, RunId, TaskId, TaskInstanceId, TaskInstanceState,
    TriggerId,
};

use crate::row::{Columns, assembled, bind_real, micros, micros_or_null, text_array};
use crate::session::Statement;
use crate::settling::{FOR_WEIGHT, SETTLED};
use crate::{Change, Error, Reader, Tx};

/// In the order in which [`take_task_instance`] takes them.
pub(crate) const TASK_INSTANCE_COLUMNS: &str = "id, dag_id, run_id, task_id, map_index, state, \
    try_number, max_tries, start_date, end_date, duration, scheduled_dttm, queued_dttm, \
    queued_by_job_id, last_heartbeat_at, hostname, unixname, pid, external_executor_id, pool, \
    pool_slots, queue, priority_weight, operator, custom_operator_name, executor, \
    executor_config, trigger_id, trigger_timeout, next_method, next_kwargs, dag_version_id, \
    retry_delay_override, retry_reason, rendered_map_index, note, updated_at";

/// In the order in which [`bind_new`] binds them.
const NEW_COLUMNS: &str = "id, dag_id, run_id, task_id, map_index, state, try_number, max_tries, \
    start_date, end_date, scheduled_dttm, pool, pool_slots, queue, priority_weight, operator, \
    custom_operator_name, executor, executor_config, dag_version_id, duration, updated_at, \
    settling";

/// Rows per `INSERT`, largest first: few enough sizes for all of them to stay in the statement
/// cache. Bound values beat one JSON text here, a row has too many columns.
const INSERT_SIZES: [usize; 3] = [64, 8, 1];

/// A new row that does not begin with no state: an instance that an expansion created and that the
/// same plan scheduled, skipped or finished.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedTaskInstance {
    pub new: NewTaskInstance,
    pub try_number: i32,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
    pub duration_secs: Option<f64>,
    pub scheduled_dttm: Option<Timestamp>,
}

impl From<NewTaskInstance> for StartedTaskInstance {
    fn from(new: NewTaskInstance) -> Self {
        Self {
            new,
            try_number: 0,
            start_date: None,
            end_date: None,
            duration_secs: None,
            scheduled_dttm: None,
        }
    }
}

impl Reader {
    /// Whether a task instance is there; `map_index` of `None`: with any index.
    pub async fn has_task_instance(
        &mut self,
        scope: &TaskScope,
        map_index: Option<MapIndex>,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "SELECT COUNT(*)
               FROM task_instance
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3
                AND map_index = COALESCE($4, map_index)",
        )
        .bind(scope.dag_id.as_str())
        .bind(scope.run_id.as_str())
        .bind(scope.task_id.as_str())
        .bind(map_index.map(|index| index.0));
        let row = self
            .fetch_one("look for a task instance", statement)
            .await?;
        Ok(Columns::of("task_instance", &row).big()? > 0)
    }

    /// The live row of a try. An id of an older try finds nothing.
    pub async fn find_task_instance(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS} FROM task_instance WHERE id = $1"
        )))
        .bind(id.to_string());
        self.fetch_optional("load a task instance", statement)
            .await?
            .as_ref()
            .map(task_instance_from)
            .transpose()
    }

    /// The live row of a task in a run.
    pub async fn find_task_instance_of(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: &TaskId,
        map_index: MapIndex,
    ) -> Result<Option<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE dag_id = $1 AND run_id = $2 AND task_id = $3 AND map_index = $4"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(task_id.as_str())
        .bind(map_index.0);
        self.fetch_optional("load a task instance", statement)
            .await?
            .as_ref()
            .map(task_instance_from)
            .transpose()
    }

    /// All whole rows of a run, by task and map index.
    pub async fn load_task_instances_of_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Vec<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE dag_id = $1 AND run_id = $2
              ORDER BY task_id, map_index"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str());
        self.fetch_all("load the task instances of a run", statement)
            .await?
            .iter()
            .map(task_instance_from)
            .collect()
    }
}

impl Tx {
    /// Takes all rows of a run for the rest of the transaction, by task and map index.
    pub async fn hold_task_instances(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
    ) -> Result<Vec<TaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE dag_id = $1 AND run_id = $2
              ORDER BY task_id, map_index
              {}",
            self.dialect().for_update("task_instance")
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str());
        self.fetch_all("hold the task instances of a run", statement)
            .await?
            .iter()
            .map(task_instance_from)
            .collect()
    }

    /// Creates rows, any number of them. Rows that exist already are left as they are.
    ///
    /// Returns how many were created.
    pub async fn create_task_instances(
        &mut self,
        rows: &[StartedTaskInstance],
        now: Timestamp,
    ) -> Result<u64, Error> {
        let mut created = 0;
        let mut rest = rows;
        let settling = self.settling_of_new().await?;
        for size in INSERT_SIZES {
            let mut chunks = rest.chunks_exact(size);
            if rest.len() >= size {
                let sql = insert_of(size);
                for chunk in &mut chunks {
                    let statement = sqlx::query(assembled(sql.clone()));
                    let statement = chunk.iter().fold(statement, |statement, row| {
                        bind_new(statement, row, settling, now)
                    });
                    created += self.execute("create task instances", statement).await?;
                }
            }
            rest = chunks.remainder();
        }
        let waits = settling != SETTLED || rows.iter().any(|row| row.new.has_custom_weight);
        if waits && created > 0 {
            self.changed(Change::PythonWanted);
        }
        Ok(created)
    }

    /// Deletes rows and what the tries left behind.
    pub async fn delete_task_instances(&mut self, ids: &[TaskInstanceId]) -> Result<u64, Error> {
        if ids.is_empty() {
            return Ok(0);
        }
        self.forget_outputs(ids).await?;
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM task_instance WHERE {theirs}"
        )))
        .bind(text_array(ids));
        self.execute("delete task instances", statement).await
    }

    /// Deletes what tries left behind: XComs, rendered fields, mapped lengths, reschedules, notes.
    /// An instance about to be expanded starts without them.
    pub async fn forget_outputs(&mut self, ids: &[TaskInstanceId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = text_array(ids);
        let theirs = self.dialect().one_of_texts("id", "$1");
        for table in ["xcom", "rendered_task_instance_fields", "task_map"] {
            let statement = sqlx::query(assembled(format!(
                "DELETE FROM {table}
                  WHERE (dag_id, run_id, task_id, map_index) IN (
                        SELECT dag_id, run_id, task_id, map_index
                          FROM task_instance
                         WHERE {theirs})"
            )))
            .bind(ids.as_str());
            self.execute("forget the outputs of task instances", statement)
                .await?;
        }
        let of_ti = self.dialect().one_of_texts("ti_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM task_reschedule WHERE {of_ti}"
        )))
        .bind(ids.as_str());
        self.execute("forget reschedules", statement).await?;
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance SET note = NULL, note_user = NULL WHERE {theirs} AND note IS NOT NULL"
        )))
        .bind(ids);
        self.execute("forget notes", statement).await?;
        Ok(())
    }

    /// Replaces the note of a task instance; `None` removes it. `false`: there is no such row.
    pub async fn set_task_instance_note(
        &mut self,
        id: TaskInstanceId,
        note: Option<&str>,
        user: Option<&str>,
    ) -> Result<bool, Error> {
        let statement =
            sqlx::query("UPDATE task_instance SET note = $2, note_user = $3 WHERE id = $1")
                .bind(id.to_string())
                .bind(note)
                .bind(note.and(user));
        Ok(self
            .execute("set the note of a task instance", statement)
            .await?
            == 1)
    }
}

fn insert_of(rows: usize) -> String {
    let width = NEW_COLUMNS.split(',').count();
    let mut values = String::new();
    for row in 0..rows {
        values.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=width {
            values.push_str(&format!("${}, ", row * width + column));
        }
        values.push_str("'', '')");
    }
    format!(
        "INSERT INTO task_instance ({NEW_COLUMNS}, hostname, unixname)
         VALUES {values}
         ON CONFLICT DO NOTHING"
    )
}

fn bind_new<'q>(
    statement: Statement<'q>,
    row: &StartedTaskInstance,
    settling: i32,
    now: Timestamp,
) -> Statement<'q> {
    let new = &row.new;
    let settling = if new.has_custom_weight {
        FOR_WEIGHT
    } else {
        settling
    };
    let statement = statement
        .bind(new.id.to_string())
        .bind(new.dag_id.to_string())
        .bind(new.run_id.to_string())
        .bind(new.task_id.to_string())
        .bind(new.map_index.0)
        .bind(new.state.to_nullable())
        .bind(row.try_number)
        .bind(new.max_tries)
        .bind(micros_or_null(row.start_date))
        .bind(micros_or_null(row.end_date))
        .bind(micros_or_null(row.scheduled_dttm))
        .bind(new.pool.to_string())
        .bind(new.pool_slots)
        .bind(new.queue.clone())
        .bind(new.priority_weight)
        .bind(new.operator.clone())
        .bind(new.custom_operator_name.clone())
        .bind(new.executor.clone())
        .bind(new.executor_config.to_string())
        .bind(new.dag_version_id.to_string());
    bind_real(statement, row.duration_secs)
        .bind(micros(now))
        .bind(settling)
}

pub(crate) fn task_instance_from(row: &AnyRow) -> Result<TaskInstance, Error> {
    take_task_instance(&mut Columns::of("task_instance", row))
}

/// Takes [`TASK_INSTANCE_COLUMNS`] and leaves what follows them.
pub(crate) fn take_task_instance(columns: &mut Columns<'_>) -> Result<TaskInstance, Error> {
    Ok(TaskInstance {
        id: TaskInstanceId(columns.uuid()?),
        dag_id: columns.id()?,
        run_id: columns.id()?,
        task_id: columns.id()?,
        map_index: MapIndex(columns.int()?),
        state: take_state(columns)?,
        try_number: columns.int()?,
        max_tries: columns.int()?,
        start_date: columns.instant_or_null()?,
        end_date: columns.instant_or_null()?,
        duration_secs: columns.real_or_null()?,
        scheduled_dttm: columns.instant_or_null()?,
        queued_dttm: columns.instant_or_null()?,
        queued_by_job_id: columns.big_or_null()?.map(JobId),
        last_heartbeat_at: columns.instant_or_null()?,
        hostname: columns.owned()?,
        unixname: columns.owned()?,
        pid: columns.int_or_null()?,
        external_executor_id: columns.owned_or_null()?,
        pool: columns.id()?,
        pool_slots: columns.int()?,
        queue: columns.owned()?,
        priority_weight: columns.big()?,
        operator: columns.owned()?,
        custom_operator_name: columns.owned_or_null()?,
        executor: columns.owned_or_null()?,
        executor_config: columns.json()?,
        trigger_id: columns.big_or_null()?.map(TriggerId),
        trigger_timeout: columns.instant_or_null()?,
        next_method: columns.owned_or_null()?,
        next_kwargs: columns.owned_or_null()?,
        dag_version_id: columns.uuid_or_null()?.map(DagVersionId),
        retry_delay_override_secs: columns.real_or_null()?,
        retry_reason: columns.owned_or_null()?,
        rendered_map_index: columns.owned_or_null()?,
        note: columns.owned_or_null()?,
        updated_at: columns.instant()?,
    })
}

/// NULL is [`TaskInstanceState::NoStatus`].
pub(crate) fn take_state(columns: &mut Columns<'_>) -> Result<TaskInstanceState, Error> {
    Ok(columns
        .parsed_or_null()?
        .unwrap_or(TaskInstanceState::NoStatus))
}
