//! What the scheduler reads and writes: slim loads, bulk compare-and-set.
//!
//! Nothing here decides. A pass loads a run ([`view`]), a planner decides, [`apply`] writes. The
//! queueing step works on [`queueing`], run creation and start on [`runs`], and what died without a
//! word is found by [`lost`].

pub(crate) mod apply;
pub(crate) mod lost;
pub(crate) mod queueing;
pub(crate) mod runs;
pub(crate) mod view;

#[cfg(test)]
mod tests;
