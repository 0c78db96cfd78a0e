//! What one running Dag run needs next.
//!
//! Airflow looks at a run in *passes*: each evaluates the dependencies of every waiting task
//! instance once, against the instances that had finished when the pass began, so that a failure
//! ripples one level a pass. [`plan_pass`] is one such pass, to the letter. [`plan_to_fixpoint`]
//! repeats passes in memory until only workers, users or time could bring news, looking again only
//! at what watches something that changed; a chain of a hundred empty operators is one plan.
//!
//! - [`view`]: what goes in. [`ViewNeeds`] says which facts a Dag needs beyond its rows.
//! - [`plan`]: what comes out.
//! - `board`: the rows while a plan is made; `counts`: the same, added up per task.
//! - `dependencies`: the decision about one instance; [`trigger_rule`]: its largest part.
//! - `mapping`: how many instances a task has; expansion and revision.
//! - `pass`, `outcome`: one pass, and what it means for the run.
//! - [`relatives`]: what belongs to one instance of a mapped task.
//! - `verify`: makes the rows fit a Dag that has changed.

mod board;
mod counts;
mod dependencies;
mod fixpoint;
mod mapping;
mod outcome;
mod pass;
pub mod plan;
pub mod relatives;
mod schedule;
#[cfg(test)]
mod tests;
pub mod trigger_rule;
mod verify;
pub mod view;

pub use fixpoint::{find_unmet, plan_finish, plan_pass, plan_run, plan_to_fixpoint};
pub use plan::{
    DagCallback, Deferral, InstanceFields, NewInstance, RunEnd, RunEndReason, RunPlan,
    TaskInstanceChange, Waiting,
};
pub use trigger_rule::UpstreamCounts;
pub use verify::plan_integrity;
pub use view::{
    PastFacts, PreviousRun, PreviousRunRule, RunFacts, RunView, SkipDecision, TaskInstanceView,
    ViewNeeds, XComFacts,
};
