//! Executors: from `queued` in the row to somebody who runs it.
//!
//! An executor decides nothing about what it runs. It takes [`ExecutorWorkload`]s, starts callbacks
//! first and then the heaviest tasks as slots come free, and says when it is done with one. What
//! became of it stands in its row; [`ExecutorEvent`] only tells the scheduler to look.
//!
//! [`LocalExecutor`] runs workloads on this machine. It does not know what running one takes:
//! that is a closure, in production the worker's supervision of a Python child.

mod local;
mod queue;

pub use local::{LocalExecutor, Outcome};
pub use updraft_model::workload::{ExecutorWorkload, Workload};

/// The executor is done with a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorEvent {
    pub workload: ExecutorWorkload,
    pub outcome: Outcome,
}
