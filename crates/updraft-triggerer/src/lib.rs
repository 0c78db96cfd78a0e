//! The triggerer: runs what deferred task instances wait for, in one Python child.
//!
//! A trigger waits in an asyncio loop, together with thousands of others, until it has an event;
//! the event lets its task instance go on. The child is started when there is something to wait for
//! and stopped when there has been nothing for a while. Triggers are shared with other triggerers
//! by rows: each belongs to the job that claimed it, for as long as that job lives.
//!
//! It does not know Python, and it does not decide what an event means for a task instance; that
//! is `updraft_execution::TriggerEvents`. Trigger timeouts are the scheduler's.
//!
//! Start with [`Triggerer`] in `triggerer.rs`, which is the loop; [`roster`] keeps the books of
//! what is held, [`rows`] is what it asks of the store, [`runner`] is the child, [`workload`] what a
//! trigger is told.

mod logs;
mod options;
mod roster;
mod rows;
mod runner;
mod trace;
mod triggerer;
mod workload;

pub use options::TriggererOptions;
pub use roster::{AfterDeath, Roster};
pub use rows::{Loaded, TriggerRows};
pub use triggerer::Triggerer;
pub use workload::{Unrunnable, Workload};
