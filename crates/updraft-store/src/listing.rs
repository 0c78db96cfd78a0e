//! Lists for people: filtered, ordered and paged, as the API and the command line show them.
//!
//! Everything here reads. A list is one statement over one table, whose conditions about other
//! tables are subqueries; what its rows need from elsewhere is loaded for the whole page at once,
//! so the number of statements does not depend on the number of rows.
//!
//! A filter is plain data with one field per parameter of the API; [`select::Select`] turns it into
//! conditions with bound values, [`order`] maps the API's attribute names to columns.

mod admin;
mod asset;
mod backfill;
mod cursor;
mod dag;
mod dag_run;
mod data_version;
mod hitl;
mod order;
mod select;
mod task_instance;
mod version;
mod xcom;

pub use admin::{ConnectionFilter, EventLogFilter, JobFilter, PoolFilter, VariableFilter};
pub use asset::{AssetEventFilter, AssetFilter, QueuedEventFilter};
pub use backfill::BackfillFilter;
pub use cursor::{Cursor, CursorValue};
pub use dag::{
    DagFilter, DagRunCount, DagTagFilter, DagWarningFilter, FavoriteFilter, ImportErrorFilter,
};
pub use dag_run::DagRunFilter;
pub use data_version::DataVersion;
pub use hitl::HitlDetailFilter;
pub use task_instance::{RunDates, TaskInstanceFilter, TriggerSummary};
pub use version::DagVersionFilter;
pub use xcom::XComFilter;

use crate::Error;

/// A page, and how many rows there are on all pages together.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    pub total: i64,
}

/// A page of a walk by cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked<T> {
    pub rows: Vec<T>,
    /// Counted up to [`WALK_TOTAL_MAX`].
    pub total: i64,
    pub next: Option<Cursor>,
    pub previous: Option<Cursor>,
}

/// Walks by cursor count no further than this: they exist for lists that are long.
pub const WALK_TOTAL_MAX: i64 = 50_000;

/// Why a list could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("Ordering with '{0}' is disallowed or the attribute does not exist on the model")]
    UnknownOrder(String),
    #[error("Ordering with more than {max} parameters is not allowed. Provided: {given:?}")]
    TooManyOrders { max: usize, given: Vec<String> },
    #[error("Cursor token does not match current query shape")]
    CursorShape,
    #[error(transparent)]
    Store(#[from] Error),
}
