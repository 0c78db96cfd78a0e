//! What happens next: every scheduling decision as a function of (view, now).
//!
//! Pure: no I/O, no clock, no randomness. A shell loads a view, calls one of these functions, and
//! applies the plan by compare-and-set; the same view and `now` always give the same plan. A plan
//! carries its reasons, also for what it leaves alone ([`Because`]).
//!
//! | decision | view | function |
//! |---|---|---|
//! | what a running Dag run needs | [`run::RunView`] | [`run::plan_to_fixpoint`] ([`run::plan_pass`]: one Airflow pass) |
//! | which task instances a run begins with, or has after its Dag changed | [`integrity`] | [`integrity::plan_new_task_instances`], [`integrity::plan_integrity`] |
//! | who gets the free slots | [`queueing::QueueView`] | [`queueing::plan_queue`] |
//! | whether assets that were updated make a run | [`asset_run::AssetRunView`] | [`asset_run::plan_asset_run`] |
//! | whether a partition has all that its run waits for | [`partition_run::PartitionRunView`] | [`partition_run::plan_partition_run`] |
//! | whether a run is looked at now | [`run_look::LookView`] | [`run_look::look`] |
//! | which queued runs start | [`run_start::StartView`] | [`run_start::plan_start`] |
//! | when a failed task is tried again | [`retry`] | [`retry::next_retry_at`] |
//! | what a process that ended means | [`executor_event`] | [`executor_event::plan_executor_event`] |
//! | how a trigger ends a task instance | [`trigger_end::EndView`] | [`trigger_end::plan_trigger_end`] |
//! | clearing, marking, timing out, failing fast | [`clear`], [`mark`], [`run_timeout`], [`fail_fast`] | |
//! | whether an answer is one, and what happens without | [`hitl`] | [`hitl::plan_end_of_patience`] |
//! | why a task instance is not running | [`explain::ExplainView`] | [`explain::explain`]; in Airflow's words [`failed_deps::find_failed_deps`] |
//! | which runs a backfill makes | [`backfill`] | [`backfill::plan_backfill`], [`backfill::plan_entry`] |
//!
//! One look at a running run asks, in this order: did its Dag change
//! ([`integrity::plan_integrity`]); has it timed out ([`run_timeout::plan_run_timeout`]); what comes
//! next ([`run::plan_to_fixpoint`], or [`run::plan_finish`] while the Dag is paused). The last two
//! are [`run::plan_run`].
//!
//! Deliberately not here: what the Dag file itself says about time and assets
//! (`updraft-timetable`), and everything that is stored or sent.
//!
//! Start reading at [`run`]. The rules are those of fact sheet "scheduling semantics"; `§` in this
//! crate means its sections.

pub mod asset_run;
pub mod backfill;
pub mod because;
pub mod clear;
pub mod executor_event;
pub mod explain;
pub mod fail_fast;
pub mod failed_deps;
pub mod hitl;
pub mod integrity;
pub mod map_index;
pub mod mark;
pub mod partition_run;
pub mod queueing;
pub mod retry;
pub mod run;
pub mod run_look;
pub mod run_start;
pub mod run_state;
pub mod run_timeout;
#[cfg(test)]
mod scenario;
pub mod trigger_end;
#[cfg(test)]
mod vectors;

pub use because::Because;
