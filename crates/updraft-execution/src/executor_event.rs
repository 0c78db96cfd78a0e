//! What an executor says of a workload, applied to the row.
//!
//! Source: scheduling semantics §7.7.

use jiff::Timestamp;
use updraft_model::task_instance::TaskInstance;
use updraft_model::workload::Workload;
use updraft_model::{JobId, TaskInstanceState};
use updraft_planning::executor_event::{EventPlan, EventView, ExecutorEvent, plan_executor_event};
use updraft_runtime::Ids;
use updraft_store::{Error, Tx};

use crate::burial::{Death, Grave, load_dag, write_death};

/// What an executor says of a workload.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    pub event: ExecutorEvent,
    /// The try that the workload was for.
    pub try_number: i32,
    /// The scheduler that listens to the executor. `None`: whoever reports saw the process itself.
    pub job_id: Option<JobId>,
    /// The executor has a workload for the task instance again.
    pub is_held_by_executor: bool,
    /// What is written down if the try turns out to be dead.
    pub death: Death<'a>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The row has moved on, or needs nothing.
    Unchanged,
    /// The row knows by which name the executor calls its workload.
    Named,
    /// A cleared try may begin again.
    Restarts,
    /// The try was dead, and its row says so now.
    Buried(TaskInstanceState),
}

/// Applies a report to the task instance of a workload, whatever id it has by now.
pub async fn settle_workload(
    tx: &mut Tx,
    workload: &Workload,
    report: &Report<'_>,
    ids: &Ids,
    now: Timestamp,
) -> Result<Reported, Error> {
    let (dag_id, run_id) = (&workload.dag_id, &workload.run_id);
    let found = tx
        .find_task_instance_of(dag_id, run_id, &workload.task_id, workload.map_index)
        .await?;
    let Some(found) = found else {
        return Ok(Reported::Unchanged);
    };
    match tx.lock_task_instance(found.id).await? {
        Some(ti) => settle(tx, &ti, report, ids, now).await,
        None => Ok(Reported::Unchanged),
    }
}

/// Applies a report to a locked row.
pub(crate) async fn settle(
    tx: &mut Tx,
    ti: &TaskInstance,
    report: &Report<'_>,
    ids: &Ids,
    now: Timestamp,
) -> Result<Reported, Error> {
    let dag = load_dag(tx, ti).await?;
    let is_other = |job: JobId| {
        ti.queued_by_job_id
            .is_some_and(|queued_by| queued_by != job)
    };
    let view = EventView {
        state: ti.state,
        try_number: ti.try_number,
        max_tries: ti.max_tries,
        start_date: ti.start_date,
        event_try_number: report.try_number,
        is_queued_by_other: report.job_id.is_some_and(is_other),
        is_held_by_executor: report.is_held_by_executor,
        is_resuming: ti.next_method.is_some(),
        task: dag
            .as_ref()
            .and_then(|dag| dag.find_task(ti.task_id.as_str())),
        fail_fast: dag.as_ref().is_some_and(|dag| dag.attributes().fail_fast),
    };
    match plan_executor_event(&report.event, &view, now) {
        EventPlan::Ignore => Ok(Reported::Unchanged),
        EventPlan::Name(name) => {
            tx.set_external_executor_id(ti.id, name.as_deref()).await?;
            Ok(Reported::Named)
        }
        EventPlan::Restart { max_tries } => {
            let restarts = tx.restart_cleared(ti.id, max_tries, now).await?;
            Ok(if restarts {
                Reported::Restarts
            } else {
                Reported::Unchanged
            })
        }
        EventPlan::Mismatch(mismatch) => {
            let grave = Grave {
                dag: dag.as_ref(),
                mismatch: &mismatch,
                death: report.death,
            };
            let is_buried = write_death(tx, ti, grave, ids, now).await?;
            Ok(if is_buried {
                Reported::Buried(mismatch.state)
            } else {
                Reported::Unchanged
            })
        }
    }
}

/// Lets a try that was cleared while it ran begin again, now that its process is gone.
pub async fn release_restarting(
    tx: &mut Tx,
    workload: &Workload,
    ids: &Ids,
    now: Timestamp,
) -> Result<(), Error> {
    let (dag_id, run_id) = (&workload.dag_id, &workload.run_id);
    let found = tx
        .find_task_instance_of(dag_id, run_id, &workload.task_id, workload.map_index)
        .await?;
    let Some(ti) = found.filter(|ti| ti.state == TaskInstanceState::Restarting) else {
        return Ok(());
    };
    let report = Report {
        event: ExecutorEvent::Succeeded,
        try_number: ti.try_number,
        job_id: None,
        is_held_by_executor: false,
        death: Death {
            event: "state mismatch",
            why: "it was cleared while it ran",
        },
    };
    settle(tx, &ti, &report, ids, now).await?;
    Ok(())
}
