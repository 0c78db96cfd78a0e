//! What waits for Python's word: new and cleared task instances, and next runs of Dags.

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::dag::NextDagRun;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, RunId, TaskInstanceId};

use crate::dialect::Kind;
use crate::plugin_inventory::MutationHook;
use crate::row::{Columns, assembled, micros};
use crate::scheduling::runs::set_next;
use crate::task_instance::{TASK_INSTANCE_COLUMNS, take_task_instance};
use crate::{Change, Error, Reader, RunKey, Tx};

/// What a row waits for: 0 for nothing.
pub(crate) const SETTLED: i32 = 0;
pub(crate) const FOR_HOOK: i32 = 1;
pub(crate) const FOR_WEIGHT: i32 = 2;

/// A task instance that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsettledTaskInstance {
    pub task_instance: TaskInstance,
    /// Its weight comes from a class of the user.
    pub needs_weight: bool,
}

/// What Python says of a task instance.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInstanceSettlement {
    pub id: TaskInstanceId,
    pub pool: String,
    pub pool_slots: i32,
    pub queue: String,
    pub priority_weight: i64,
    pub executor: Option<String>,
    /// `None` leaves it as it is.
    pub executor_config: Option<Value>,
    pub max_tries: i32,
}

/// A Dag whose next run is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedDag {
    pub dag_id: DagId,
    /// Names the wish: a later one makes the answer to this one void.
    pub wish: i64,
}

const SETTLEMENT: &[(&str, Kind)] = &[
    ("ti", Kind::Text),
    ("to_pool", Kind::Text),
    ("to_slots", Kind::Int),
    ("to_queue", Kind::Text),
    ("weight", Kind::Int),
    ("to_executor", Kind::Text),
    ("config", Kind::Text),
    ("tries", Kind::Int),
];

impl Reader {
    /// Runs with task instances that wait, those that have waited longest first.
    pub async fn load_unsettled_runs(&mut self, limit: i64) -> Result<Vec<RunKey>, Error> {
        let statement = sqlx::query(
            "SELECT dag_id, run_id
               FROM task_instance
              WHERE settling > 0
              GROUP BY dag_id, run_id
              ORDER BY MIN(updated_at), dag_id, run_id
              LIMIT $1",
        )
        .bind(limit);
        self.fetch_all("find runs that wait for Python", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok(RunKey {
                    dag_id: columns.id()?,
                    run_id: columns.id()?,
                })
            })
            .collect()
    }

    /// Task instances of a run that wait.
    pub async fn load_unsettled(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        limit: i64,
    ) -> Result<Vec<UnsettledTaskInstance>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}, settling
               FROM task_instance
              WHERE settling > 0 AND dag_id = $1 AND run_id = $2
              ORDER BY task_id, map_index
              LIMIT $3"
        )))
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(limit);
        self.fetch_all("load task instances that wait for Python", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("task_instance", row);
                Ok(UnsettledTaskInstance {
                    task_instance: take_task_instance(&mut columns)?,
                    needs_weight: columns.int()? == FOR_WEIGHT,
                })
            })
            .collect()
    }

    /// Dags whose next run is to be asked, oldest wish first.
    pub async fn load_asked_dags(&mut self, limit: i64) -> Result<Vec<AskedDag>, Error> {
        let statement = sqlx::query(
            "SELECT dag_id, next_dagrun_asked
               FROM dag
              WHERE next_dagrun_asked IS NOT NULL AND NOT is_stale
              ORDER BY next_dagrun_asked, dag_id
              LIMIT $1",
        )
        .bind(limit);
        self.fetch_all("find Dags that wait for Python", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("dag", row);
                Ok(AskedDag {
                    dag_id: columns.id()?,
                    wish: columns.big()?,
                })
            })
            .collect()
    }
}

impl Tx {
    /// What a new row waits for, as far as the cluster is concerned.
    pub(crate) async fn settling_of_new(&mut self) -> Result<i32, Error> {
        if let Some(known) = self.known_settling() {
            return Ok(known);
        }
        let settling = match self.load_plugin_inventory().await?.mutation_hook {
            MutationHook::None => SETTLED,
            MutationHook::Unknown | MutationHook::Defined => FOR_HOOK,
        };
        self.remember_settling(settling);
        Ok(settling)
    }

    /// Writes what Python said, where it is still wanted; the rows may be queued now.
    pub async fn settle_task_instances(
        &mut self,
        run: &RunKey,
        settlements: &[TaskInstanceSettlement],
        now: Timestamp,
    ) -> Result<u64, Error> {
        let given = self.dialect().rows("$1", "given", SETTLEMENT);
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance
                SET settling = 0, pool = given.to_pool, pool_slots = given.to_slots,
                    queue = given.to_queue, priority_weight = given.weight,
                    executor = given.to_executor,
                    executor_config = COALESCE(given.config, executor_config),
                    max_tries = given.tries, updated_at = $2
               FROM {given}
              WHERE id = given.ti AND settling > 0"
        )))
        .bind(Value::from_iter(settlements.iter().map(settlement_row)).to_string())
        .bind(micros(now));
        let settled = self.execute("settle task instances", statement).await?;
        self.run_changed(&run.dag_id, &run.run_id);
        Ok(settled)
    }

    /// Lets rows be queued as they are, because there is nothing to ask or nobody to answer.
    pub async fn settle_as_they_are(
        &mut self,
        run: &RunKey,
        ids: &[TaskInstanceId],
    ) -> Result<u64, Error> {
        let theirs = self.dialect().one_of_texts("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE task_instance SET settling = 0 WHERE settling > 0 AND {theirs}"
        )))
        .bind(crate::row::text_array(ids));
        let settled = self.execute("settle task instances", statement).await?;
        self.run_changed(&run.dag_id, &run.run_id);
        Ok(settled)
    }

    /// Notes that the next run of a Dag is to be asked. Until then none is created.
    pub async fn ask_next_dagrun(&mut self, dag_id: &DagId, now: Timestamp) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE dag
                SET next_dagrun_asked =
                        CASE WHEN next_dagrun_asked >= $2 THEN next_dagrun_asked + 1 ELSE $2 END
              WHERE dag_id = $1",
        )
        .bind(dag_id.as_str())
        .bind(micros(now));
        self.execute("note that a next run is to be asked", statement)
            .await?;
        self.changed(Change::PythonWanted);
        Ok(())
    }

    /// Has Python asked anew for the next run of every Dag with a timetable class of the user, because
    /// other classes have been loaded.
    pub async fn ask_every_next_dagrun(&mut self, now: Timestamp) -> Result<u64, Error> {
        // Classes that Airflow ships are known by their name alone.
        let statement = sqlx::query(
            "UPDATE dag
                SET next_dagrun_asked =
                        CASE WHEN next_dagrun_asked >= $1 THEN next_dagrun_asked + 1 ELSE $1 END
              WHERE NOT is_stale
                AND (timetable_type LIKE '%.%' OR timetable_type = 'AssetOrTimeSchedule')",
        )
        .bind(micros(now));
        let asked = self
            .execute("note that next runs are to be asked", statement)
            .await?;
        self.changed(Change::PythonWanted);
        Ok(asked)
    }

    /// Stores the answer to a wish. `false`: there is a later one.
    pub async fn settle_next_dagrun(
        &mut self,
        asked: &AskedDag,
        next: &NextDagRun,
    ) -> Result<bool, Error> {
        let statement = set_next("dag_id = $8 AND next_dagrun_asked = $9", next)
            .bind(asked.dag_id.as_str())
            .bind(asked.wish);
        let settled = self
            .execute("store the next run of a Dag", statement)
            .await?
            == 1;
        if settled {
            self.dag_changed(&asked.dag_id);
        }
        Ok(settled)
    }
}

fn settlement_row(settlement: &TaskInstanceSettlement) -> Value {
    json!({
        "ti": settlement.id,
        "to_pool": settlement.pool,
        "to_slots": settlement.pool_slots,
        "to_queue": settlement.queue,
        "weight": settlement.priority_weight,
        "to_executor": settlement.executor,
        "config": settlement.executor_config.as_ref().map(Value::to_string),
        "tries": settlement.max_tries,
    })
}
