//! What must be true once nothing goes wrong any more.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use updraft_execution::{ViewOf, load_view};
use updraft_model::dag_run::DagRun;
use updraft_model::{DagRunState, TaskInstanceState};
use updraft_planning::Because;
use updraft_planning::run::{RunPlan, plan_to_fixpoint};
use updraft_scheduler::DagCache;
use updraft_store::{Reader, RunKey};

use super::{Oracle, essence};
use crate::dags::DagModel;

/// What a look at a run would do now, and why it leaves alone what it leaves alone.
async fn explain(reader: &mut Reader, run: &DagRun) -> Option<RunPlan> {
    let version = reader.find_latest_version(&run.dag_id).await;
    let version = version.expect("the inspector reads")?;
    let mut dags = DagCache::default();
    let cached = dags.load(reader, version.id, &version.dag_hash).await;
    let cached = cached.expect("the inspector reads")?;
    let of = ViewOf {
        run,
        backfill_sort_ordinal: None,
        max_task_retry_delay: SignedDuration::MAX,
    };
    let view = load_view(reader, &cached.dag, &cached.needs, &of).await;
    let view = view.expect("the inspector reads");
    // So late that no retry waits any more.
    let now = run.updated_at + SignedDuration::from_hours(24 * 365);
    Some(plan_to_fixpoint(&view, now))
}

impl Oracle {
    /// Trouble is over.
    pub(crate) fn on_calm(&mut self) {
        self.is_calm = true;
    }

    /// How long nothing has moved.
    pub(crate) fn quiet_for(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(self.last_move)
    }

    pub(crate) fn is_everything_finished(&self) -> bool {
        self.runs.values().all(|each| each.run.state.is_finished())
    }

    /// What has not ended, in words.
    pub(crate) fn unfinished(&self) -> String {
        let rest = self
            .runs
            .iter()
            .filter(|(_, each)| !each.run.state.is_finished())
            .map(|(key, each)| format!("{}/{} {}", key.dag_id, key.run_id, essence(each)));
        rest.collect::<Vec<_>>().join("\n  ")
    }

    /// Nothing moves although runs have not ended: each needs a reason that no time heals.
    pub(crate) async fn explain_rest(&mut self, dags: &[DagModel]) -> Option<String> {
        let mut stuck = BTreeMap::new();
        let running: Vec<RunKey> = self.in_state(DagRunState::Running);
        for key in &running {
            let mut reader = self.inspector.read().await.expect("the inspector reads");
            let plan = explain(&mut reader, &self.runs[key].run).await;
            drop(reader);
            let Some(plan) = plan else {
                return Some(format!("{key:?} has no Dag to go by"));
            };
            let why: Vec<String> = plan
                .waiting
                .iter()
                .map(|waiting| format!("{} waits: {}", waiting.task_id, waiting.because))
                .collect();
            let waits_for_past = plan.waiting.iter().any(|waiting| {
                matches!(
                    waiting.because,
                    Because::PastMissing
                        | Because::PastUnsuccessful { .. }
                        | Because::PastDownstreamUnsuccessful { .. }
                )
            });
            let is_busy = self.runs[key].instances.values().any(|ti| {
                matches!(
                    ti.state,
                    TaskInstanceState::Scheduled
                        | TaskInstanceState::Queued
                        | TaskInstanceState::Running
                        | TaskInstanceState::Restarting
                        | TaskInstanceState::Deferred
                )
            });
            if !waits_for_past || is_busy || !plan.is_empty() {
                return Some(format!(
                    "{}/{} is lost: {}\n  {}",
                    key.dag_id,
                    key.run_id,
                    essence(&self.runs[key]),
                    why.join("\n  ")
                ));
            }
            stuck.insert(key.dag_id.clone(), ());
        }
        for key in self.in_state(DagRunState::Queued) {
            // As in Airflow, what is cleared of a cancelled backfill never starts.
            let backfill = self.runs[&key].run.backfill_id;
            let backfill = backfill.and_then(|id| self.backfills.get(&id));
            let is_cancelled =
                backfill.is_some_and(|each| each.is_paused && each.completed_at.is_some());
            if !stuck.contains_key(&key.dag_id) && !is_cancelled {
                let known = dags.iter().any(|dag| dag.id == key.dag_id.as_str());
                return Some(format!(
                    "{}/{} is queued although no run of its Dag is running (a Dag of this \
                     world: {known})",
                    key.dag_id, key.run_id
                ));
            }
        }
        self.check_end().await;
        self.violation()
    }

    fn in_state(&self, state: DagRunState) -> Vec<RunKey> {
        let runs = self.runs.iter();
        runs.filter(|(_, each)| each.run.state == state)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The last look: what was acknowledged is there, and every try is on record.
    pub(crate) async fn check_end(&mut self) {
        self.check_all_runs().await;
        if self.has_triggers().await && self.is_everything_finished() {
            self.violated(|| "triggers of nobody are left".to_owned());
        }
        self.look_at_backfills().await;
        if self.has_open_backfill() && self.is_everything_finished() {
            let backfills = self.backfills.clone();
            self.violated(|| format!("a backfill is never completed: {backfills:?}"));
        }
        for key in self.acknowledged.clone() {
            if !self.runs.contains_key(&key) && self.is_undisturbed() {
                self.violated(|| format!("an acknowledged run is gone: {key:?}"));
            }
        }
        let keys: Vec<RunKey> = self.runs.keys().cloned().collect();
        for key in keys {
            self.check_history(&key).await;
        }
    }

    /// The tries of a task instance that took a number are one after the other in its history.
    async fn check_history(&mut self, key: &RunKey) {
        let snapshot = self.runs[key].clone();
        let mut reader = self.inspector.read().await.expect("the inspector reads");
        for ti in snapshot.instances.values() {
            let past = reader
                .load_past_tries(&key.dag_id, &key.run_id, &ti.task_id, ti.map_index)
                .await
                .expect("the inspector reads");
            let mut numbers: Vec<i32> = past.iter().map(|each| each.try_number).collect();
            numbers.push(ti.try_number);
            numbers.dedup();
            let is_ordered = numbers.windows(2).all(|pair| pair[0] <= pair[1]);
            let place = (key.clone(), (ti.task_id.to_string(), ti.map_index.0));
            let unstarted = self.accounts.get(&place).map_or(0, |each| each.unstarted);
            let missing = ti.try_number - i32::try_from(numbers.len()).unwrap_or(0);
            if !is_ordered || missing > unstarted && self.is_undisturbed() {
                let text = format!(
                    "{key:?} {}: the tries on record are {numbers:?}",
                    ti.task_id
                );
                self.violated(|| text);
            }
        }
    }

    /// The end of every run, for a comparison with another world.
    pub(crate) fn outcome(&self) -> BTreeMap<String, String> {
        self.runs
            .iter()
            .map(|(key, each)| {
                let rows = each
                    .instances
                    .iter()
                    .map(|((task_id, index), ti)| match index {
                        -1 => format!("{task_id} {}", ti.state),
                        index => format!("{task_id}[{index}] {}", ti.state),
                    });
                let rows = rows.collect::<Vec<_>>().join(", ");
                (
                    format!("{}/{}", key.dag_id, key.run_id),
                    format!("{}: {rows}", each.run.state),
                )
            })
            .collect()
    }
}
