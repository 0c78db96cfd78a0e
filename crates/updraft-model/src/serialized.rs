//! The serialized Dag (version 3), as the Python child sends it.
//!
//! [`SerializedDag::parse`] turns the JSON into a structure that every role can share behind an
//! `Arc`: tasks in the order of their definition, edges as indexes, every operator attribute with
//! its effective value, and what planning needs of the graph computed once. The JSON itself is
//! kept ([`SerializedDag::raw`], [`Task::raw`]) for the API, which shows keys that mean nothing to
//! us.
//!
//! | to get | ask |
//! |---|---|
//! | a task | [`SerializedDag::find_task`], [`SerializedDag::task`], [`SerializedDag::tasks`] |
//! | its place | [`SerializedDag::index_of`] gives a [`TaskIndex`]; [`Task::upstream`] and [`Task::downstream`] hold them |
//! | what its users wrote | the public fields of [`Task`] and [`DagAttributes`] |
//! | mapping | [`Task::expand_input`], [`SerializedDag::mapped_groups_of`], [`ExpandInput`], [`XComArg`] |
//! | what follows from the graph | [`Task::relations`] (setups, teardown scope, who watches whom), [`SerializedDag::leaves`], [`Task::total_weight`] |
//!
//! Source: fact sheet "runtime protocols" §4.

mod attributes;
mod dag;
mod error;
mod expand;
mod fields;
mod graph;
mod group;
mod start_trigger;
mod task;
#[cfg(test)]
mod tests;
mod weights;

pub use attributes::DagAttributes;
pub use dag::{SERIALIZED_VERSION, SerializedDag};
pub use error::{Error, Place};
pub use expand::{ExpandArgument, ExpandInput, XComArg};
pub use graph::Relations;
pub use group::{GroupChild, GroupIndex, TaskGroup};
pub use start_trigger::StartTrigger;
pub use task::{Callbacks, Retries, Task, TaskIndex, TaskLimits, WeightRule};
