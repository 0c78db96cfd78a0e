//! Why something waits, in words for the user interface and the log.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use smol_str::SmolStr;
use updraft_model::{DagRunState, TaskInstanceState, TriggerRule};

use crate::run::UpstreamCounts;

/// Why a task instance was left alone, or was given a state without running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// The trigger rule is not satisfied, or decided the state.
    TriggerRule {
        rule: TriggerRule,
        upstream: UpstreamCounts,
    },
    /// Not all setups above the task succeeded.
    Setups { upstream: UpstreamCounts },
    /// A teardown waits for the tasks between its setups and itself.
    TeardownScope { unfinished: u32 },
    /// A failed try is repeated at this time.
    RetryAt(Timestamp),
    /// A sensor looks again at this time.
    RescheduleAt(Timestamp),
    /// `depends_on_past`: the previous run has no instance of the task.
    PastMissing,
    /// `depends_on_past`: so many instances of the previous run are not successful.
    PastUnsuccessful { count: u32 },
    /// `wait_for_downstream`: so many direct successors in the previous run are not successful.
    PastDownstreamUnsuccessful { count: u32 },
    /// A task whose output this one expands over did not succeed.
    MappedUpstream { state: TaskInstanceState },
    /// A branch or a short circuit above decided against the task.
    SkippedBy { task_id: SmolStr },
    /// The length to expand over is not known although everything above has finished.
    LengthUnknown,
    /// There is nothing to expand over.
    LengthZero,
    /// The map index lies beyond the length to expand over.
    BeyondLength { length: u32 },
    /// The Dag no longer has the task.
    TaskGone,
    /// The Dag has the task again.
    TaskReturned,
    /// The run took longer than `dagrun_timeout`.
    RunTimedOut,
    /// Everything above allows it to run.
    DependenciesMet,
    /// The scheduler itself finishes an `EmptyOperator`.
    TriviallyEmpty,
    /// The Dag is paused.
    DagPaused,
    /// The run has not started, or has ended.
    RunNotRunning,
    /// The run has ended.
    RunEnded { state: DagRunState },
    /// The Dag processor no longer finds the Dag.
    DagStale,
    /// The time of the run has not come.
    RunNotDue(Timestamp),
    /// The logical date of the run lies in the future.
    LogicalDateAhead(Timestamp),
    /// The pool does not exist.
    PoolMissing { pool: SmolStr },
    /// The pool belongs to another team.
    PoolOfOtherTeam { pool: SmolStr },
    /// The task asks for more slots than the pool has at all.
    PoolTooSmall { pool: SmolStr, slots: i32 },
    /// The pool has too few open slots at the moment.
    PoolFull {
        pool: SmolStr,
        /// Below zero after the pool was made smaller.
        open: i64,
        slots: i32,
        needed: i32,
    },
    /// The run has reached its Dag's `max_active_tasks`.
    MaxActiveTasks { limit: i32 },
    /// The task has reached `max_active_tis_per_dag`.
    MaxActiveTisPerDag { limit: i32 },
    /// The task has reached `max_active_tis_per_dagrun` in this run.
    MaxActiveTisPerDagrun { limit: i32 },
    /// No executor has the name the task asks for.
    ExecutorUnknown { executor: SmolStr },
    /// The executor has no free slot.
    ExecutorFull { executor: SmolStr },
    /// Others get what `[core] parallelism` leaves.
    Parallelism { free: u32 },
    /// Heavier tasks come first.
    Heavier,
}

impl Because {
    /// The first moment at which the reason has gone away by itself.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::RetryAt(at) => Some(just_after(*at)),
            Self::RescheduleAt(at) | Self::RunNotDue(at) | Self::LogicalDateAhead(at) => Some(*at),
            _ => None,
        }
    }
}

/// The first stored moment that lies strictly after `at`.
pub(crate) fn just_after(at: Timestamp) -> Timestamp {
    at.saturating_add(SignedDuration::from_micros(1))
        .unwrap_or(Timestamp::MAX)
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TriggerRule { rule, upstream } => {
                write!(f, "trigger rule {rule}, upstream: {upstream}")
            }
            Self::Setups { upstream } => write!(f, "its setups must succeed first: {upstream}"),
            Self::TeardownScope { unfinished } => {
                write!(
                    f,
                    "{unfinished} task instances between setup and teardown are unfinished"
                )
            }
            Self::RetryAt(at) => write!(f, "its next try is due after {at}"),
            Self::RescheduleAt(at) => write!(f, "it looks again at {at}"),
            Self::PastMissing => {
                f.write_str("it depends on past, and the previous run lacks the task")
            }
            Self::PastUnsuccessful { count } => {
                write!(
                    f,
                    "it depends on past, where {count} instances are not successful"
                )
            }
            Self::PastDownstreamUnsuccessful { count } => {
                write!(
                    f,
                    "it waits for downstream of the past, where {count} are not successful"
                )
            }
            Self::MappedUpstream { state } => write!(f, "it expands over a task that is {state}"),
            Self::SkippedBy { task_id } => write!(f, "task `{task_id}` chose not to follow it"),
            Self::LengthUnknown => f.write_str("the length to expand over is unknown"),
            Self::LengthZero => f.write_str("there is nothing to expand over"),
            Self::BeyondLength { length } => write!(f, "it expands over {length} values only"),
            Self::TaskGone => f.write_str("the Dag no longer has the task"),
            Self::TaskReturned => f.write_str("the Dag has the task again"),
            Self::RunTimedOut => f.write_str("the Dag run took longer than its timeout"),
            Self::DependenciesMet => f.write_str("all dependencies are met"),
            Self::TriviallyEmpty => f.write_str("an empty operator needs no worker"),
            Self::DagPaused => f.write_str("the Dag is paused"),
            Self::RunNotRunning => f.write_str("the Dag run is not running"),
            Self::RunEnded { state } => write!(f, "the Dag run has ended as {state}"),
            Self::DagStale => f.write_str("the Dag is stale: its file no longer has it"),
            Self::RunNotDue(at) => write!(f, "the Dag run is due at {at}"),
            Self::LogicalDateAhead(at) => {
                write!(
                    f,
                    "the logical date of the Dag run, {at}, lies in the future"
                )
            }
            Self::PoolMissing { pool } => write!(f, "pool `{pool}` does not exist"),
            Self::PoolOfOtherTeam { pool } => write!(f, "pool `{pool}` belongs to another team"),
            Self::PoolTooSmall { pool, slots } => {
                write!(
                    f,
                    "pool `{pool}` has {slots} slots in all, too few for the task"
                )
            }
            Self::PoolFull {
                pool,
                open,
                slots,
                needed,
            } => write!(
                f,
                "pool `{pool}` has {open} of {slots} slots open, and the task takes {needed}"
            ),
            Self::MaxActiveTasks { limit } => {
                write!(f, "the run has {limit} active tasks, its limit")
            }
            Self::MaxActiveTisPerDag { limit } => {
                write!(f, "the task has {limit} active instances, its limit")
            }
            Self::MaxActiveTisPerDagrun { limit } => {
                write!(
                    f,
                    "the task has {limit} active instances in this run, its limit"
                )
            }
            Self::ExecutorUnknown { executor } => write!(f, "no executor is named `{executor}`"),
            Self::ExecutorFull { executor } => write!(f, "executor `{executor}` has no free slot"),
            Self::Parallelism { free: 0 } => f.write_str("no slot is free in this scheduler"),
            Self::Parallelism { free } => {
                write!(
                    f,
                    "heavier tasks get the {free} free slots of this scheduler"
                )
            }
            Self::Heavier => f.write_str("heavier tasks come first"),
        }
    }
}
