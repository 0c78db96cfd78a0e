//! How lists are narrowed: the filters every listing shares.
//!
//! The API reads them from a query, the store turns them into SQL.

/// A lower and an upper bound, each with or without equality.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range<T> {
    /// At least.
    pub gte: Option<T>,
    /// More than.
    pub gt: Option<T>,
    /// At most.
    pub lte: Option<T>,
    /// Less than.
    pub lt: Option<T>,
}

/// Text to look for, in the two ways the API offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// Anywhere, whatever the case; `%` and `_` are wildcards, `|` separates alternatives.
    pub anywhere: Option<String>,
    /// At the start, exactly; `|` separates alternatives.
    pub prefix: Option<String>,
}

/// Which part of a list, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many rows at most.
    pub limit: i64,
    /// How many rows are skipped.
    pub offset: i64,
    /// Attributes in the API's words, `-` in front for descending.
    pub order_by: Vec<String>,
}
