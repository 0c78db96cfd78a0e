//! What every role needs to live: a clock, fresh ids, named tasks, an orderly end, a log.
//!
//! The only crate that asks the machine for the time, draws random numbers or spawns. Everything
//! else takes `now` and ids as arguments, so that it can be tested and simulated.
//!
//! Start with [`Tasks`]: it owns every asynchronous task of the process and knows what the end of
//! each one means.

mod clock;
mod dice;
mod ids;
mod log;
mod tasks;
mod timer;

pub use clock::{Clock, SimulatedTime};
pub use dice::Dice;
pub use ids::Ids;
pub use log::{LogFormat, init_log};
pub use tasks::{OnExit, Tasks};
pub use timer::{every, sleep_until};
pub use tokio_util::sync::CancellationToken;
