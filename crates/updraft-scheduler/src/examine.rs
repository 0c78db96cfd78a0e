//! One look at one run: lock it, load a view, let the planner decide, write the plan.
//!
//! Source: scheduling semantics §0.4.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tracing::{debug, error, info, warn};
use updraft_execution::{Applied, ViewOf, apply_task_instances, load_view, look_view, version_of};
use updraft_model::dag_run::DagRun;
use updraft_model::{DagRunState, DagRunType, DagVersionId};
use updraft_planning::Because;
use updraft_planning::run::{RunEnd, RunPlan, plan_run};
use updraft_planning::run_look::{Look, look};
use updraft_store::{LockedRun, NewEventLog, RunKey, RunStateChange, Tx};
use updraft_timetable::isoformat;

use crate::Error;
use crate::callbacks::dag_callback;
use crate::dags::CachedDag;
use crate::scheduler::Scheduler;

/// What a look at a run found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Something is scheduled: the queueing step has work.
    pub(crate) scheduled: bool,
    /// The run is queued, or ended and made room for another.
    pub(crate) may_start_runs: bool,
    /// When to look again although nothing happened.
    pub(crate) wake_at: Option<Timestamp>,
    /// A row moved under our feet: throw the transaction away and look again.
    pub(crate) lost: bool,
}

impl Scheduler {
    /// Looks at one run within `tx`.
    pub(crate) async fn examine(
        &mut self,
        tx: &mut Tx,
        key: &RunKey,
        now: Timestamp,
    ) -> Result<Findings, Error> {
        let Some(locked) = tx.lock_run(&key.dag_id, &key.run_id).await? else {
            return Ok(Findings::default());
        };
        match look(&look_view(&locked), now) {
            Look::Start => {
                return Ok(Findings {
                    may_start_runs: true,
                    ..Findings::default()
                });
            }
            Look::Ended => {
                if let Some((dag, _)) = self.dag_of(tx, &locked).await? {
                    self.wake_followers(tx, &locked, &dag).await?;
                }
                return Ok(Findings::default());
            }
            Look::Rest(because) => {
                if let Because::LogicalDateAhead(date) = because {
                    error!(dag_id = %key.dag_id, run_id = %key.run_id, logical_date = %date, "left a run alone whose logical date lies in the future");
                }
                return Ok(Findings {
                    wake_at: because.until(),
                    ..Findings::default()
                });
            }
            Look::Plan => {}
        }
        let Some((dag, version)) = self.dag_of(tx, &locked).await? else {
            return Ok(Findings::default());
        };
        let followed = self
            .follow_new_version(tx, &locked, &dag, version, now)
            .await?;
        if followed == Applied::Lost {
            return Ok(Findings {
                lost: true,
                ..Findings::default()
            });
        }
        let findings = self.plan_and_apply(tx, &locked, &dag, version, now).await?;
        if !findings.lost {
            self.wake_followers(tx, &locked, &dag).await?;
        }
        Ok(findings)
    }

    /// The version a run follows: the one it is pinned to, else the newest.
    async fn dag_of(
        &mut self,
        tx: &mut Tx,
        locked: &LockedRun,
    ) -> Result<Option<(Arc<CachedDag>, DagVersionId)>, Error> {
        let run = &locked.run;
        let Some(stamp) = version_of(tx, locked).await? else {
            warn!(dag_id = %run.dag_id, run_id = %run.run_id, "left a run alone whose Dag was never serialized");
            return Ok(None);
        };
        let dag = self.dags.load(tx, stamp.id, &stamp.dag_hash).await?;
        Ok(dag.map(|dag| (dag, stamp.id)))
    }

    pub(crate) fn view_of<'a>(&self, locked: &'a LockedRun) -> ViewOf<'a> {
        ViewOf {
            run: &locked.run,
            backfill_sort_ordinal: locked.backfill_sort_ordinal,
            max_task_retry_delay: self.options.max_task_retry_delay,
        }
    }

    async fn plan_and_apply(
        &mut self,
        tx: &mut Tx,
        locked: &LockedRun,
        dag: &CachedDag,
        version: DagVersionId,
        now: Timestamp,
    ) -> Result<Findings, Error> {
        let run = &locked.run;
        let view = load_view(tx, &dag.dag, &dag.needs, &self.view_of(locked)).await?;
        let plan = plan_run(&view, locked.is_paused, now);
        log_plan(run, &plan);
        if apply_task_instances(tx, &dag.dag, run, version, &plan, &self.ids, now).await?
            == Applied::Lost
        {
            return Ok(Findings {
                lost: true,
                ..Findings::default()
            });
        }
        if !plan.is_empty() {
            tx.note_scheduling_decision(&run.dag_id, &run.run_id, self.job_id, now)
                .await?;
        }
        let mut findings = Findings {
            scheduled: plan.scheduled().next().is_some(),
            wake_at: plan.wake_at,
            ..Findings::default()
        };
        if let Some(end) = &plan.end {
            self.end_run(tx, run, end, now).await?;
            findings.may_start_runs = true;
            findings.wake_at = None;
        }
        Ok(findings)
    }

    async fn end_run(
        &mut self,
        tx: &mut Tx,
        run: &DagRun,
        end: &RunEnd,
        now: Timestamp,
    ) -> Result<(), Error> {
        let change = RunStateChange {
            from: run.state,
            to: end.state,
            queued_at: end.times.queued_at,
            start_date: end.times.start_date,
            end_date: end.times.end_date,
        };
        // The row is locked, so nobody else can have changed it.
        let changed = tx
            .change_dag_run_state(&run.dag_id, &run.run_id, &change, now)
            .await?;
        debug_assert!(changed, "a locked run changed its state");
        info!(dag_id = %run.dag_id, run_id = %run.run_id, state = %end.state, reason = end.reason.as_str(), "a Dag run ended");
        let hook = match end.state {
            DagRunState::Success => "on_dag_run_success",
            DagRunState::Failed => "on_dag_run_failed",
            DagRunState::Queued | DagRunState::Running => "on_dag_run_running",
        };
        let told = || {
            json!({
                "dag_id": run.dag_id, "run_id": run.run_id, "msg": end.reason.as_str(),
                "state": end.state.as_str(),
                "start_date": end.times.start_date.map(isoformat),
                "end_date": end.times.end_date.map(isoformat),
            })
        };
        tx.tell_listeners(hook, told, now).await?;
        if let Some(callback) = &end.callback
            && let Some(row) = tx.find_dag(&run.dag_id).await?
        {
            let last_ti = match &callback.last_ti {
                Some((task_id, map_index)) => {
                    tx.find_task_instance_of(&run.dag_id, &run.run_id, task_id, *map_index)
                        .await?
                }
                None => None,
            };
            let ended = DagRun {
                state: end.state,
                end_date: end.times.end_date,
                ..run.clone()
            };
            let request = dag_callback(&row, &ended, last_ti.as_ref(), callback);
            tx.request_callback(&request, now).await?;
        }
        if let Some(limit) = end.check_consecutive_failures {
            self.pause_after_failures(tx, run, limit, now).await?;
        }
        self.followed.forget(run);
        if let Some(backfill_id) = run.backfill_id {
            self.end_run_of_backfill(tx, run, backfill_id, now).await?;
        }
        // Quirk §2.2: runs of other types leave the flag as it is.
        if matches!(
            run.run_type,
            DagRunType::Scheduled | DagRunType::Manual | DagRunType::AssetTriggered
        ) {
            tx.refresh_exceeds_max_non_backfill(&run.dag_id).await?;
        }
        Ok(())
    }

    /// `max_consecutive_failed_dag_runs`: so many failures in a row pause the Dag.
    async fn pause_after_failures(
        &mut self,
        tx: &mut Tx,
        run: &DagRun,
        limit: i32,
        now: Timestamp,
    ) -> Result<(), Error> {
        let states = tx
            .load_last_run_states(&run.dag_id, i64::from(limit))
            .await?;
        let all_failed = states.iter().all(|state| *state == DagRunState::Failed);
        if i32::try_from(states.len()).is_ok_and(|count| count >= limit) && all_failed {
            warn!(dag_id = %run.dag_id, limit, "paused a Dag after too many failed runs in a row");
            tx.set_paused(&run.dag_id, true).await?;
            tx.refresh_asset_watchers(now).await?;
            tx.write_event_log(&NewEventLog {
                dttm: now,
                event: "paused".to_owned(),
                owner: Some("scheduler".to_owned()),
                dag_id: Some(run.dag_id.clone()),
                extra: Some(format!("paused after {limit} failed runs in a row")),
                ..NewEventLog::default()
            })
            .await?;
        }
        Ok(())
    }
}

fn log_plan(run: &DagRun, plan: &RunPlan) {
    if plan.is_empty() {
        return;
    }
    debug!(
        dag_id = %run.dag_id,
        run_id = %run.run_id,
        changes = plan.changes.len(),
        created = plan.created.len(),
        waiting = plan.waiting.len(),
        passes = plan.passes,
        "planned a Dag run"
    );
}
