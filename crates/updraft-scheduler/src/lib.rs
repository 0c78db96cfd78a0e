//! The scheduler: creates runs that are due, plans what runs need, queues what fits, repairs what
//! died.
//!
//! The shell around `updraft-planning`. It is woken by hints (a commit, a finished workload, a
//! timer), looks at the rows the hint points to, lets the planner decide, and applies the plan in
//! the same transaction. A slow scan marks every running run, so that a lost hint costs latency
//! and nothing else. Any number of schedulers may share one PostgreSQL.
//!
//! What only the user's Python knows is asked beside the loop, by [`Asking`]; [`ListenerCaller`] tells
//! plugins what happened.
//!
//! It does not run tasks (the executor does), parse files (the Dag processor does) or know SQL.
//!
//! Start with [`Scheduler`] in `scheduler.rs`, which takes steps; `run.rs` is the loop that decides
//! when, [`examine`] one look at one run, [`queueing`] the critical section, [`upkeep`] the timers,
//! [`lost`] the repair of what died without a word.

mod agenda;
mod asking;
mod backfills;
mod callbacks;
mod create;
mod custom_mappers;
mod dags;
mod deadlines;
mod error;
mod examine;
mod follow;
mod followers;
mod listeners;
mod lost;
mod queueing;
mod run;
mod scheduler;
mod start;
#[cfg(test)]
mod testing;
mod upkeep;
mod urgent;
mod workload;

pub use asking::Asking;
pub use custom_mappers::CustomMappers;
pub use dags::DagCache;
pub use error::Error;
pub use listeners::ListenerCaller;
pub use scheduler::{Next, Scheduler, SchedulerOptions, StuckOptions};
