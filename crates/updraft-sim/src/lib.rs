//! A deterministic simulator of Updraft.
//!
//! A world has a database, one or more machines with an Updraft process each, and clients. The
//! scheduler, the planner, the executor's queue, the worker's rows and its session machine, the API
//! server and the Dag processor's way into the store are the real ones, on a real SQLite database;
//! simulated are time, ids, the Python children, and everything that can go wrong: crashes at any
//! call to the store, kills, machines that stand still, lost and late and doubled messages, a store
//! that is slow or loses its answers, clocks that jump. After every commit an [`oracle`] checks the
//! invariants of the design, by the rows and by which child really runs.
//!
//! One seed makes one world and one order of events, so whatever fails can be seen again.
//!
//! It does not simulate SQL: two transactions of a world never overlap. Races within transactions
//! are the business of the store's tests on PostgreSQL.
//!
//! Start with [`World`] in `world.rs`, then [`port`], through which trouble comes in.

mod actor;
mod child;
mod client;
mod dags;
mod faults;
mod grid;
mod log;
mod oracle;
mod parse;
mod port;
mod session;
mod setup;
mod shrink;
mod simulate;
mod triggerer;
mod world;

pub use faults::FaultKind;
pub use grid::{grid, last_entries};
pub use log::Log;
pub use setup::Setup;
pub use shrink::shrink;
pub use simulate::{Verdict, simulate};
pub use world::Report;
