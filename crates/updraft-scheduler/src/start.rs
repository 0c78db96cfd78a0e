//! Starts queued runs as far as `max_active_runs` allows.
//!
//! Source: scheduling semantics §2.9.

use jiff::Timestamp;
use serde_json::json;
use tracing::info;
use updraft_planning::run_start::{BackfillOfRun, QueuedRun, StartView, plan_start};
use updraft_store::{RunKey, StartCandidate, Tx};
use updraft_timetable::isoformat;

use crate::Error;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Starts what may start; gives the runs that did, for a look at each.
    pub(crate) async fn start_runs(
        &mut self,
        tx: &mut Tx,
        now: Timestamp,
    ) -> Result<Vec<RunKey>, Error> {
        let page = self.options.max_dagruns_per_loop;
        tx.lock_starting().await?;
        let candidates = tx.lock_start_candidates(now, page).await?;
        // A full page may hide runs that could start; they are next.
        self.agenda.starting |= i64::try_from(candidates.len()).is_ok_and(|count| count == page);
        let plan = plan_start(&view_of(&candidates), now);
        let mut started = Vec::new();
        for id in plan.start {
            let Some(candidate) = usize::try_from(id).ok().and_then(|at| candidates.get(at)) else {
                continue;
            };
            let RunKey { dag_id, run_id } = &candidate.key;
            if tx.start_dag_run(dag_id, run_id, now).await? {
                info!(%dag_id, %run_id, "started a Dag run");
                let told = || {
                    json!({
                        "dag_id": dag_id, "run_id": run_id, "msg": "started",
                        "state": "running", "start_date": isoformat(now), "end_date": null,
                    })
                };
                tx.tell_listeners("on_dag_run_running", told, now).await?;
                started.push(candidate.key.clone());
                if candidate.backfill.is_some() {
                    self.agenda.note_backfill(candidate.key.clone());
                }
            }
        }
        if started.is_empty() {
            self.agenda.starting = false;
        }
        Ok(started)
    }
}

/// The planner's view; it names a run by its place among the candidates.
fn view_of(candidates: &[StartCandidate]) -> StartView {
    let mut view = StartView {
        examine_max: candidates.len(),
        ..StartView::default()
    };
    for (place, candidate) in candidates.iter().enumerate() {
        let dag_id = &candidate.key.dag_id;
        // The store gives none of a backfill that is paused.
        let backfill = candidate.backfill.map(|backfill| BackfillOfRun {
            backfill_id: backfill.id,
            max_active_runs: backfill.max_active_runs,
            sort_ordinal: backfill.sort_ordinal,
            is_paused: false,
        });
        let running = u32::try_from(candidate.running).unwrap_or(u32::MAX);
        view.running.insert(
            (
                dag_id.clone(),
                backfill.map(|backfill| backfill.backfill_id),
            ),
            running,
        );
        view.queued.push(QueuedRun {
            id: i64::try_from(place).unwrap_or(i64::MAX),
            dag_id: dag_id.clone(),
            run_after: candidate.run_after,
            last_scheduling_decision: candidate.last_scheduling_decision,
            dag_max_active_runs: Some(candidate.max_active_runs),
            // The store gives only runs of Dags that are neither.
            dag_is_paused: false,
            dag_is_stale: false,
            backfill,
        });
    }
    view
}
