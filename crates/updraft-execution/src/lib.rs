//! What every role that talks to a Python child shares: the child's channels as events, its log
//! file, the answers to what it asks, and the changes to rows that several roles make alike.
//!
//! The worker, the Dag processor and the triggerer each have their own loop around a child; this
//! crate has no loop and no opinion about when a child must end.
//!
//! Start with [`Channels`]; [`answer`] is the table of what a child may ask.

mod answer;
mod backfill;
mod burial;
mod child_output;
mod child_runner;
mod clearing;
mod executor_event;
mod exit;
mod explain;
mod failure;
mod hitl;
mod job;
mod log_file;
mod log_names;
mod python_side;
mod queue_view;
mod run_answer;
mod run_apply;
mod run_view;
mod structures;
mod stuck;
mod trigger_events;

pub use answer::{AnswerOptions, Asker, TaskAsker, answer};
pub use backfill::{
    BACKFILL_DATES_MAX, BackfillError, BackfillRules, BackfillWish, DateFinder, Filler, Progress,
    create_backfill, preview_backfill,
};
pub use burial::{Death, bury, bury_silent, fail_fast};
pub use child_output::ChildLog;
pub use child_runner::{ChildOrder, ChildRunner, End, Finished};
pub use clearing::{ClearOrder, Cleared, Clearing, by_run};
pub use executor_event::{Report, Reported, release_restarting, settle_workload};
pub use exit::Exit;
pub use explain::{
    ExplainRules, Subject, explain_task_instance, failed_deps_of, look_view, version_of,
};
pub use failure::{chain, failure_of};
pub use hitl::{OverdueInput, Resumed, park, resolve_overdue_input, respond, resume};
pub use job::Job;
pub use log_file::LogFile;
pub use log_names::{BadLogTemplate, LogDates, LogNames};
pub use python_side::PythonSide;
pub use queue_view::{ExecutorOf, LimitsOfVersions, load_queue_view};
pub use run_answer::dag_run_responses;
pub use run_apply::{Applied, apply_task_instances};
pub use run_view::{ViewOf, load_view};
pub use structures::Structures;
pub use stuck::{StuckRules, Unstuck, free_stuck};
pub use trigger_events::{Fired, FiredTrigger, Settled, TriggerEvents};
pub use updraft_python::Channels;
