//! What a try does between its start and its end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::{MapIndex, TaskId, TaskInstanceId, TaskInstanceState};

use crate::dialect::Kind;
use crate::row::{Columns, assembled, micros, text_array};
use crate::task_instance::take_state;
use crate::{Error, Reader, Tx};

/// What a heartbeat is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    Alive,
    /// No row, live or past, has this id.
    NotFound,
    /// The try is over: retried, cleared or started over.
    Superseded,
    /// Another process runs the try.
    RunningElsewhere {
        hostname: String,
        pid: Option<i32>,
    },
    /// The row is not running any more, for example because somebody marked it.
    NotRunning(TaskInstanceState),
}

/// Which row an id belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    Live,
    /// The id of a try that is in the history.
    Superseded,
    NotFound,
}

impl Tx {
    /// Renews a try's sign of life, if it is still this process's.
    pub async fn heartbeat_try(
        &mut self,
        id: TaskInstanceId,
        hostname: &str,
        pid: i32,
        now: Timestamp,
    ) -> Result<Heartbeat, Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET last_heartbeat_at = $4
              WHERE id = $1 AND state = 'running' AND hostname = $2 AND pid = $3",
        )
        .bind(id.to_string())
        .bind(hostname)
        .bind(pid)
        .bind(micros(now));
        if self.execute("renew a heartbeat", statement).await? == 1 {
            return Ok(Heartbeat::Alive);
        }
        Ok(match self.find_task_instance(id).await? {
            Some(ti) if ti.state != TaskInstanceState::Running => Heartbeat::NotRunning(ti.state),
            Some(ti) => Heartbeat::RunningElsewhere {
                hostname: ti.hostname,
                pid: ti.pid,
            },
            None => match self.liveness(id).await? {
                Liveness::Superseded => Heartbeat::Superseded,
                Liveness::Live | Liveness::NotFound => Heartbeat::NotFound,
            },
        })
    }

    /// Stores the rendered templates of a try, JSON text. Only a live try's are stored.
    pub async fn set_rendered_fields(
        &mut self,
        id: TaskInstanceId,
        rendered_fields: &str,
    ) -> Result<Liveness, Error> {
        let statement = sqlx::query(
            "INSERT INTO rendered_task_instance_fields
                 (dag_id, run_id, task_id, map_index, rendered_fields)
             SELECT dag_id, run_id, task_id, map_index, $2 FROM task_instance WHERE id = $1
             ON CONFLICT (dag_id, run_id, task_id, map_index) DO UPDATE
                SET rendered_fields = excluded.rendered_fields",
        )
        .bind(id.to_string())
        .bind(rendered_fields);
        if self.execute("store rendered fields", statement).await? == 1 {
            return Ok(Liveness::Live);
        }
        self.liveness(id).await
    }

    /// Stores the label of a mapped instance. `false`: no live row has this id.
    pub async fn set_rendered_map_index(
        &mut self,
        id: TaskInstanceId,
        label: &str,
    ) -> Result<bool, Error> {
        let statement =
            sqlx::query("UPDATE task_instance SET rendered_map_index = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(label);
        Ok(self
            .execute("store a rendered map index", statement)
            .await?
            == 1)
    }

    /// Skips tasks in the same run, unless they run, succeeded or failed. `false`: no live row has
    /// this id.
    pub async fn skip_downstream(
        &mut self,
        id: TaskInstanceId,
        tasks: &[(TaskId, MapIndex)],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(ti) = self.find_task_instance(id).await? else {
            return Ok(false);
        };
        let given = self.dialect().rows(
            "$3",
            "given",
            &[("skipped_task", Kind::Text), ("skipped_index", Kind::Int)],
        );
        let rows = tasks.iter().map(
            |(task_id, map_index)| json!({"skipped_task": task_id, "skipped_index": map_index}),
        );
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET state = 'skipped', start_date = $4, end_date = $4, updated_at = $4
              WHERE dag_id = $1 AND run_id = $2
                AND (task_id, map_index) IN (SELECT skipped_task, skipped_index FROM {given})
                AND (state IS NULL OR state NOT IN ('running', 'success', 'failed'))"
        )))
        .bind(ti.dag_id.as_str())
        .bind(ti.run_id.as_str())
        .bind(Value::from_iter(rows).to_string())
        .bind(micros(now));
        self.execute("skip downstream tasks", statement).await?;
        self.run_changed(&ti.dag_id, &ti.run_id);
        Ok(true)
    }
}

impl Reader {
    /// Whether an id names a live row, a past try or nothing.
    pub async fn liveness(&mut self, id: TaskInstanceId) -> Result<Liveness, Error> {
        let statement = sqlx::query(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM task_instance WHERE id = $1) THEN 'live'
                         WHEN EXISTS (SELECT 1 FROM task_instance_history WHERE id = $1)
                              THEN 'past'
                         ELSE '' END",
        )
        .bind(id.to_string());
        let row = self.fetch_one("look for a try", statement).await?;
        Ok(match Columns::of("task_instance", &row).text()? {
            "live" => Liveness::Live,
            "past" => Liveness::Superseded,
            _ => Liveness::NotFound,
        })
    }

    /// The states of live rows; an id that is not in the answer is no live row's.
    pub async fn load_states(
        &mut self,
        ids: &[TaskInstanceId],
    ) -> Result<BTreeMap<TaskInstanceId, TaskInstanceState>, Error> {
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT id, state FROM task_instance WHERE {theirs}"
        )))
        .bind(text_array(ids));
        self.fetch_all("load the states of tries", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok((TaskInstanceId(columns.uuid()?), take_state(&mut columns)?))
            })
            .collect()
    }

    /// The rendered templates of a task instance, JSON text.
    pub async fn find_rendered_fields(
        &mut self,
        id: TaskInstanceId,
    ) -> Result<Option<String>, Error> {
        let statement = sqlx::query(
            "SELECT f.rendered_fields
               FROM task_instance AS ti
               JOIN rendered_task_instance_fields AS f
                 ON f.dag_id = ti.dag_id AND f.run_id = ti.run_id
                AND f.task_id = ti.task_id AND f.map_index = ti.map_index
              WHERE ti.id = $1",
        )
        .bind(id.to_string());
        self.fetch_optional("load rendered fields", statement)
            .await?
            .map(|row| Columns::of("rendered_task_instance_fields", &row).owned())
            .transpose()
    }
}
