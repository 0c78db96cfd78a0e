//! What a pass means for the run: finished, stuck or still running.
//!
//! Source: §4.8.

use updraft_model::serialized::Task;
use updraft_model::{DagRunState, MapIndex, TaskId, TaskInstanceState};

use super::board::{At, Board};
use super::dependencies::Purpose;
use super::pass::PassResult;
use super::plan::{DagCallback, RunEnd, RunEndReason};
use crate::run_state::RunTimes;

use TaskInstanceState as S;

impl Board<'_> {
    /// Decides about the run after a pass; `None` while it keeps running.
    pub(super) fn decide(&mut self, result: &PassResult) -> Option<RunEnd> {
        let mut unfinished = result.unfinished;
        let mut is_stuck = false;
        if result.is_quiet() && unfinished > 0 && self.could_be_stuck() {
            is_stuck = !self.could_anything_run();
            // The search may have given rows a state.
            unfinished = self.unfinished();
        }
        if unfinished == 0 {
            let states: Vec<S> = self.leaf_states().collect();
            if states.iter().any(|state| state.is_failure()) {
                return Some(self.end(RunEndReason::TaskFailure));
            }
            if states.iter().all(|state| state.is_success()) {
                return Some(self.end(RunEndReason::Success));
            }
        } else if is_stuck {
            return Some(self.end(RunEndReason::AllTasksDeadlocked));
        }
        None
    }

    /// Whether the absence of runnable instances proves a deadlock: nothing unfinished waits for
    /// other runs, for a limit, for an event or for a person.
    fn could_be_stuck(&self) -> bool {
        self.in_order()
            .filter(|at| !self.has_finished(*at))
            .all(|at| {
                let task = self.task_of(at);
                !task.depends_on_past
                    && task.limits.max_active_tis_per_dag.is_none()
                    && task.limits.max_active_tis_per_dagrun.is_none()
                    && !matches!(self.instances[at].state, S::Deferred | S::AwaitingInput)
            })
    }

    /// Whether any unfinished instance, waiting or under way, has its dependencies met when delays
    /// do not count.
    ///
    /// Quirk Q21: rows that run are evaluated too, and lose their state when an upstream failed
    /// in the meantime.
    fn could_anything_run(&mut self) -> bool {
        let unfinished: Vec<At> = self
            .in_order()
            .filter(|at| !self.has_finished(*at))
            .collect();
        unfinished
            .into_iter()
            .any(|at| self.evaluate(at, Purpose::FindDeadlock).is_ok())
    }

    fn has_finished(&self, at: At) -> bool {
        self.instances[at].state.is_finished()
    }

    /// States of the instances that decide about the run.
    fn leaf_states(&self) -> impl Iterator<Item = S> {
        self.dag
            .leaves()
            .iter()
            .flat_map(|leaf| &self.rows[leaf.place()])
            .map(|at| self.instances[*at].state)
            .filter(|state| *state != S::Removed)
    }

    fn end(&self, reason: RunEndReason) -> RunEnd {
        let run = &self.view.run;
        let attributes = self.dag.attributes();
        let state = match reason {
            RunEndReason::Success => DagRunState::Success,
            _ => DagRunState::Failed,
        };
        let times = RunTimes {
            queued_at: run.queued_at,
            start_date: run.start_date,
            end_date: run.end_date,
        };
        let is_failure = state == DagRunState::Failed;
        let is_wanted = if is_failure {
            attributes.has_on_failure_callback
        } else {
            attributes.has_on_success_callback
        };
        let limit = attributes.max_consecutive_failed_dag_runs;
        RunEnd {
            state,
            reason,
            times: times.after(Some(run.state), state, self.now),
            callback: is_wanted.then(|| DagCallback {
                is_failure,
                msg: reason.as_str(),
                last_ti: self.last_instance(reason),
            }),
            check_consecutive_failures: (reason == RunEndReason::TaskFailure && limit > 0)
                .then_some(limit),
            prune_deadlines: reason == RunEndReason::Success,
        }
    }

    /// The instance that a Dag callback is about.
    fn last_instance(&self, reason: RunEndReason) -> Option<(TaskId, MapIndex)> {
        let found = match reason {
            RunEndReason::TaskFailure => self.last_to_end_as(S::Failed),
            RunEndReason::Success => self.last_to_end_as(S::Success),
            RunEndReason::AllTasksDeadlocked => self.in_order().find(|at| {
                let has_finished_upstream = |task: &Task| {
                    let mut upstream = task.upstream.iter();
                    upstream.any(|up| self.counts[up.place()].has_finished())
                };
                !self.has_finished(*at) && has_finished_upstream(self.task_of(*at))
            }),
            RunEndReason::TimedOut => None,
        };
        found.map(|at| {
            (
                self.task_of(at).task_id.clone(),
                self.instances[at].map_index,
            )
        })
    }

    /// The first of those that ended last.
    fn last_to_end_as(&self, state: S) -> Option<At> {
        self.in_order()
            .filter(|at| self.instances[*at].state == state)
            .reduce(|best, at| {
                if self.instances[at].end_date > self.instances[best].end_date {
                    at
                } else {
                    best
                }
            })
    }
}
