//! What a running try asks for and reports: the store's side of the Task Execution API.
//!
//! Used in-process by the worker and over HTTP by remote ones, so the checks live here: a message
//! is about one try, named by its id, and an id that was replaced changes nothing. Source: fact
//! sheet "runtime protocols" §7.3 to §7.6.
//!
//! [`start`] and [`outcome`] move the row; [`alive`] is everything between; [`queries`] answers
//! questions about other rows.

pub(crate) mod alive;
pub(crate) mod outcome;
pub(crate) mod queries;
pub(crate) mod start;
