//! The worker: runs one workload in a Python child and sees it through.
//!
//! A workload goes from `queued` to a child, to a log file, to an outcome in the store. What the
//! child says is decided by `updraft_task_comms::session`, a pure machine; this crate gives it
//! sockets, a file, a store and signals. Whatever happens to the child, the row is moved on here:
//! only when the store cannot be reached for good is that left to the scheduler.
//!
//! It also runs callbacks and connection tests that an executor has; their rows, too, say how they
//! ended.
//!
//! It does not choose what to run (the scheduler does) and knows no SQL.
//!
//! Start with [`Worker`] in `worker.rs`, then [`supervision`], the loop around one child.

mod callback;
mod connection_test;
mod rows;
mod running;
mod supervision;
mod worker;

pub use rows::{Outcome, Rows, hand_back};
pub use running::superseded;
pub use updraft_execution::Asker;
pub use worker::{Worker, WorkerOptions, assignment_of};
