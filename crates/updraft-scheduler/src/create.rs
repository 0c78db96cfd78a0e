//! Creates the runs that are due: by the clock, and by updates of assets.
//!
//! Source: scheduling semantics §2.1, §2.2.

mod assets;
mod partitions;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::dag_run::{DagRun, NewDagRun};
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagId, DagRunTriggeredBy, DagRunType, DagVersionId, RunId, TaskInstanceId};
use updraft_planning::integrity::{Identity, new_task_instance, plan_new_task_instances};
use updraft_store::{RunCreation, StartedTaskInstance, Tx};
use updraft_timetable::{Error as TimetableError, Timetable, next_dagrun};

use crate::Error;
use crate::create::assets::AssetRuns;
use crate::scheduler::Scheduler;

/// Random characters in the ids of runs that may share an instant.
const RANDOM_CHARS: usize = 8;

/// Pause before a look at Dags that another scheduler was at. It takes milliseconds.
const BUSY_PAUSE: SignedDuration = SignedDuration::from_millis(50);

/// What tells one automatic run of a Dag from another.
struct NewRun {
    run_id: String,
    run_type: DagRunType,
    triggered_by: DagRunTriggeredBy,
    logical_date: Option<Timestamp>,
    data_interval: Option<(Timestamp, Timestamp)>,
    run_after: Timestamp,
    partition_key: Option<String>,
    partition_date: Option<Timestamp>,
}

impl NewRun {
    fn of_assets(run_id: String, run_after: Timestamp) -> Self {
        Self {
            run_id,
            run_type: DagRunType::AssetTriggered,
            triggered_by: DagRunTriggeredBy::Asset,
            logical_date: None,
            data_interval: None,
            run_after,
            partition_key: None,
            partition_date: None,
        }
    }
}

impl Scheduler {
    /// Creates at most one run for each Dag that is due, and notes when the next is.
    ///
    /// One Dag's trouble is its own: it is logged and the others go on.
    pub(crate) async fn create_runs(&mut self, now: Timestamp) -> Result<(), Error> {
        let mut busy_until = None;
        let waiting = self.agenda.take_waiting_dags();
        if let Some(which) = &waiting
            && self.create_partition_runs(which, now).await?
        {
            self.agenda.wait_for_all(which);
        }
        if self.options.use_job_schedule {
            let mut tx = self.store.write().await?;
            let by_assets = match &waiting {
                Some(which) => self.create_asset_runs(&mut tx, which, now).await?,
                None => AssetRuns::default(),
            };
            let due = tx
                .lock_due_dags(now, self.options.max_dagruns_to_create)
                .await?;
            let is_full = i64::try_from(due.len())
                .is_ok_and(|count| count == self.options.max_dagruns_to_create);
            let mut made_one = !by_assets.created.is_empty();
            for dag in &due {
                // Assets come first; the clock's run comes one round later.
                if by_assets.created.contains(&dag.dag_id) {
                    continue;
                }
                made_one |= self.create_run(&mut tx, dag, now).await?;
            }
            tx.commit().await?;
            // A Dag that catches up is due again at once; so may be others beyond the page.
            self.agenda.creation |= made_one || is_full && !due.is_empty();
            self.agenda.starting |= made_one;
            if !by_assets.busy.is_empty() {
                busy_until = Some(now + BUSY_PAUSE);
            }
            by_assets
                .busy
                .into_iter()
                .for_each(|dag_id| self.agenda.postpone(dag_id));
        }
        let mut reader = self.store.read().await?;
        let next = [
            reader.find_next_due().await?,
            reader.find_next_run_after(now).await?,
            busy_until,
        ];
        // A Dag whose run could not be created is not looked at again before something changes.
        self.agenda.next_due = next.into_iter().flatten().filter(|due| *due > now).min();
        Ok(())
    }

    /// Whether the Dag has moved on by one run.
    async fn create_run(&mut self, tx: &mut Tx, dag: &Dag, now: Timestamp) -> Result<bool, Error> {
        let dag_id = &dag.dag_id;
        if !allows_scheduled_runs(dag) {
            return Ok(false);
        }
        let Some(version) = tx.find_latest_version(dag_id).await? else {
            warn!(%dag_id, "left a due Dag alone that was never serialized");
            return Ok(false);
        };
        let Some(cached) = self.dags.load(tx, version.id, &version.dag_hash).await? else {
            return Ok(false);
        };
        let timetable = cached.timetable();
        let Some(new) = timetable.and_then(|timetable| self.scheduled_run(dag, timetable)) else {
            warn!(%dag_id, "left a due Dag alone whose next run has no date");
            return Ok(false);
        };
        let run = self.new_run(dag, &cached.dag, version.id, new);
        let existing = match run.logical_date {
            Some(date) => tx.find_dag_run_of_date(dag_id, date).await?,
            None => None,
        };
        let reference = match existing {
            Some(existing) => existing,
            None => match tx.create_dag_run(&run, now).await? {
                RunCreation::Created(created) => {
                    self.create_task_instances(tx, &created, &cached.dag, version.id, now)
                        .await?;
                    info!(%dag_id, run_id = %created.run_id, "created a scheduled Dag run");
                    *created
                }
                RunCreation::RunIdTaken | RunCreation::LogicalDateTaken => {
                    match tx.find_dag_run(dag_id, &run.run_id).await? {
                        Some(existing) => existing,
                        None => return Ok(false),
                    }
                }
            },
        };
        let Some(next) = next_after(dag_id, &cached.dag, &reference, now) else {
            self.ask_for_next(tx, dag, &reference, now).await?;
            tx.refresh_exceeds_max_non_backfill(dag_id).await?;
            // It is due again when Python has said so.
            return Ok(true);
        };
        // A timetable that gives the same date again would have us here for ever.
        let has_moved = next.run_after != dag.next_dagrun.run_after
            || next.logical_date != dag.next_dagrun.logical_date
            || next.partition_key != dag.next_dagrun.partition_key;
        tx.set_next_dagrun(dag_id, &next).await?;
        tx.refresh_exceeds_max_non_backfill(dag_id).await?;
        Ok(has_moved)
    }

    /// Has Python asked for the run after `reference`, which is the one that was due or stands in its
    /// way.
    async fn ask_for_next(
        &self,
        tx: &mut Tx,
        dag: &Dag,
        reference: &DagRun,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (dag_id, due) = (&dag.dag_id, &dag.next_dagrun);
        let is_due = reference.logical_date == due.logical_date
            && reference.partition_key == due.partition_key
            && reference.partition_date == due.partition_date;
        if is_due {
            return Ok(tx.ask_next_dagrun(dag_id, now).await?);
        }
        // The answer would be the same run, for ever.
        let run_id = &reference.run_id;
        warn!(%dag_id, %run_id, "the timetable of a Dag gives its next run an id that another run has; it is not scheduled any more");
        tx.set_next_dagrun(dag_id, &NextDagRun::default()).await?;
        Ok(())
    }

    /// The run that the Dag row announces.
    fn scheduled_run(&self, dag: &Dag, timetable: &Timetable) -> Option<NewRun> {
        let next = &dag.next_dagrun;
        let run_after = next.run_after?;
        if next.logical_date.is_none() && next.partition_key.is_none() {
            return None;
        }
        // A class of the user has said it along with the date.
        let run_id = next.run_id.clone().unwrap_or_else(|| {
            timetable.generate_run_id(
                DagRunType::Scheduled,
                run_after,
                next.partition_key.as_deref(),
                &self.ids.alphanumeric(RANDOM_CHARS),
            )
        });
        Some(NewRun {
            run_id,
            run_type: DagRunType::Scheduled,
            triggered_by: DagRunTriggeredBy::Timetable,
            logical_date: next.logical_date,
            data_interval: next.data_interval_start.zip(next.data_interval_end),
            run_after,
            partition_key: next.partition_key.clone(),
            partition_date: next.partition_date,
        })
    }

    fn new_run(
        &self,
        dag: &Dag,
        content: &SerializedDag,
        version: DagVersionId,
        new: NewRun,
    ) -> NewDagRun {
        NewDagRun {
            dag_id: dag.dag_id.clone(),
            run_id: RunId::from(new.run_id),
            run_type: new.run_type,
            triggered_by: new.triggered_by,
            triggering_user_name: None,
            logical_date: new.logical_date,
            data_interval: new.data_interval,
            run_after: new.run_after,
            conf: serde_json::json!({}),
            note: None,
            partition_key: new.partition_key,
            partition_date: new.partition_date,
            backfill_id: None,
            creating_job_id: Some(self.job_id),
            created_dag_version_id: version,
            bundle_name: Some(dag.bundle_name.clone()),
            bundle_version: dag
                .bundle_version
                .clone()
                .filter(|_| !content.attributes().disable_bundle_versioning),
        }
    }

    async fn create_task_instances(
        &self,
        tx: &mut Tx,
        run: &DagRun,
        dag: &SerializedDag,
        version: DagVersionId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let rows: Vec<StartedTaskInstance> =
            plan_new_task_instances(dag, run.run_type, run.logical_date)
                .into_iter()
                .map(|new| {
                    let task = dag.task(new.task);
                    let identity = Identity {
                        id: TaskInstanceId(self.ids.uuid()),
                        dag_id: run.dag_id.clone(),
                        run_id: run.run_id.clone(),
                        dag_version_id: version,
                    };
                    let state = updraft_model::TaskInstanceState::NoStatus;
                    let weight = task.total_weight.unwrap_or(task.priority_weight);
                    new_task_instance(identity, task, new.map_index, state, weight).into()
                })
                .collect();
        tx.create_task_instances(&rows, now).await?;
        Ok(())
    }
}

fn allows_scheduled_runs(dag: &Dag) -> bool {
    dag.allowed_run_types.as_ref().is_none_or(|types| {
        types
            .iter()
            .any(|name| name == DagRunType::Scheduled.as_str())
    })
}

/// `None`: only Python knows. A timetable that fails gives no next run, as in Airflow; the Dag file
/// is where to mend it.
fn next_after(
    dag_id: &DagId,
    dag: &SerializedDag,
    last: &DagRun,
    now: Timestamp,
) -> Option<NextDagRun> {
    match next_dagrun(dag, Some(last), now) {
        Ok(next) => Some(next),
        Err(TimetableError::NeedsPython { .. }) => None,
        Err(error) => {
            warn!(%dag_id, %error, "failed to compute the next run of a Dag; it is not scheduled any more");
            Some(NextDagRun::default())
        }
    }
}
