//! What users do to runs and task instances: clear them, and say what became of them.
//!
//! The rows are loaded, `updraft-planning` decides, the store writes by compare-and-set: a row that
//! moved in the meantime is left as it is. Shared by the API and the command line.

mod clear;
mod mark;
mod select;

pub(crate) use clear::{ClearOrder, add_new_tasks, clear};
pub(crate) use mark::{MarkOrder, mark_instances, mark_run};
pub(crate) use select::{Selector, relatives_of, select_rows, with_relatives_in_run};
