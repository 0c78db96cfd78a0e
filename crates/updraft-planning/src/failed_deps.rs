//! The dependencies of a task instance that are not met, under Airflow's names and in its words.
//!
//! Airflow asks them one by one for its API and for `tasks failed-deps`; its scheduler does not look
//! at all of them. What depends on the rows of the run is the planner's own evaluation
//! ([`crate::run::find_unmet`]); the rest are facts beside a limit.
//! For what really keeps an instance waiting see [`crate::explain`].

#[cfg(test)]
mod tests;
mod words;

use jiff::Timestamp;
use updraft_model::pool::{Pool, PoolUsage};
use updraft_model::serialized::Task;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagRunState, TaskInstanceState};
use updraft_timetable::isoformat;

use crate::run::{RunView, find_unmet};

use TaskInstanceState as S;

/// A task instance with everything that its dependencies look at.
#[derive(Clone, Debug)]
pub struct DepsView<'a> {
    pub run: RunView<'a>,
    pub task: &'a Task,
    pub row: TaskInstance,
    pub dag_is_paused: bool,
    /// The pool of the row; `None` when there is none of that name.
    pub pool: Option<(Pool, PoolUsage)>,
    /// Running instances of the Dag, in all its runs.
    pub running_of_dag: u32,
    /// Running, deferred and asking instances of the task, in all runs and in this one.
    pub active_of_task: u32,
    pub active_of_task_in_run: u32,
}

/// A dependency that is not met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailedDep {
    pub name: &'static str,
    pub reason: String,
}

/// Every dependency that is not met, by name.
#[must_use]
pub fn find_failed_deps(view: &DepsView<'_>, now: Timestamp) -> Vec<FailedDep> {
    let mut failed = Failed::default();
    failed.check_dates(view, now);
    failed.check_states(view);
    failed.check_limits(view);
    failed.check_pool(view);
    let unmet = find_unmet(&view.run, view.task.index, view.row.map_index, now);
    for because in unmet.unwrap_or_default() {
        failed.0.extend(words::failed_dep(view, &because, now));
    }
    failed.0.sort();
    failed.0
}

#[derive(Default)]
struct Failed(Vec<FailedDep>);

impl Failed {
    fn add(&mut self, name: &'static str, reason: String) {
        self.0.push(FailedDep { name, reason });
    }

    fn check_dates(&mut self, view: &DepsView<'_>, now: Timestamp) {
        const NAME: &str = "Logical Date";
        let Some(date) = view.run.run.logical_date else {
            return;
        };
        let of_dag = view.run.dag.attributes();
        let shown = isoformat(date);
        if date > now {
            let now = isoformat(now);
            let reason =
                format!("Logical date {shown} is in the future (the current date is {now}).");
            self.add(NAME, reason);
        }
        let limits = [
            (
                "after the task's end date",
                view.task.end_date.filter(|end| date > *end),
            ),
            (
                "after the task's DAG's end date",
                of_dag.end_date.filter(|end| date > *end),
            ),
            (
                "before the task's start date",
                view.task.start_date.filter(|start| date < *start),
            ),
            (
                "before the task's DAG's start date",
                of_dag.start_date.filter(|start| date < *start),
            ),
        ];
        for (where_, limit) in limits {
            if let Some(limit) = limit.map(isoformat) {
                let reason = format!("The logical date is {shown} but this is {where_} {limit}.");
                self.add(NAME, reason);
            }
        }
    }

    fn check_states(&mut self, view: &DepsView<'_>) {
        let state = view.row.state;
        if state != S::Scheduled {
            let shown = state.to_nullable().unwrap_or("None");
            self.add(
                "Task Instance State",
                format!("Task is in the '{shown}' state."),
            );
        }
        if state == S::Running {
            let reason = "Task is in the running state".to_owned();
            self.add("Task Instance Not Running", reason);
        }
        if view.run.run.state != DagRunState::Running {
            let reason = format!(
                "Task instance's dagrun was not in the 'running' state but in the state '{}'.",
                view.run.run.state
            );
            self.add("Dagrun Running", reason);
        }
        if view.dag_is_paused {
            let reason = format!("Task's DAG '{}' is paused.", view.row.dag_id);
            self.add("Dag Not Paused", reason);
        }
    }

    fn check_limits(&mut self, view: &DepsView<'_>) {
        let reaches = |active: u32, limit: i32| i64::from(active) >= i64::from(limit);
        let max_active_tasks = view.run.dag.attributes().max_active_tasks;
        if reaches(view.running_of_dag, max_active_tasks) {
            let reason = format!(
                "The maximum number of running tasks ({max_active_tasks}) for this task's DAG '{}' \
                 has been reached.",
                view.row.dag_id
            );
            self.add("Task Instance Slots Available", reason);
        }
        let limits = view.task.limits;
        let per_dag = limits.max_active_tis_per_dag;
        let per_run = limits.max_active_tis_per_dagrun;
        let reason = if per_dag.is_some_and(|limit| reaches(view.active_of_task, limit)) {
            "The max task concurrency has been reached."
        } else if per_run.is_some_and(|limit| reaches(view.active_of_task_in_run, limit)) {
            "The max task concurrency per run has been reached."
        } else {
            return;
        };
        self.add("Task Concurrency", reason.to_owned());
    }

    fn check_pool(&mut self, view: &DepsView<'_>) {
        const NAME: &str = "Pool Slots Available";
        let (name, needed) = (&view.row.pool, i64::from(view.row.pool_slots));
        let Some((pool, usage)) = &view.pool else {
            let reason = format!("Tasks using non-existent pool '{name}' will not be scheduled");
            return self.add(NAME, reason);
        };
        let Some(open) = pool.open_slots(usage) else {
            return;
        };
        let holds = match view.row.state {
            S::Running | S::Queued => true,
            S::Deferred => pool.include_deferred,
            _ => false,
        };
        let open = if holds { open + needed } else { open };
        if open < needed {
            let reason = format!(
                "Not scheduling since there are {open} open slots in pool {name} and require \
                 {needed} pool slots"
            );
            self.add(NAME, reason);
        }
    }
}
