//! The testkit: drives a real `updraft standalone` from the outside, as a user would.
//!
//! A test owns a [`Home`], starts [`Standalone`] on it, talks to it through [`RestClient`], waits
//! for conditions with [`wait_until`], and kills and restarts it as it likes. Nothing here knows
//! what is inside the binary: the command line, the REST API, the files of the home and the
//! process table are all there is.
//!
//! Whatever cannot go on panics and says what it saw: a test has no other use for an error.

mod home;
mod processes;
mod random;
mod rest;
mod standalone;
mod wait;

pub use home::Home;
pub use processes::{children_of, processes_of};
pub use random::Random;
pub use rest::{Answer, RestClient};
pub use standalone::{Ended, Standalone};
pub use wait::{SECOND, wait_until};
