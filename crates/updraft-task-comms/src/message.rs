//! The messages themselves, named and shaped as in Airflow's task SDK.
//!
//! | direction | types |
//! |---|---|
//! | first frame to a child | [`StartupDetails`], [`DagFileParseRequest`], [`OpenBundle`], [`StartTriggerer`], [`ExecutorOrder`] |
//! | child asks | [`Request`]: an [`Outcome`], a [`StoreRequest`] or plumbing |
//! | parent answers | [`Response`] in the body, or [`ErrorResponse`] in the error slot |
//!
//! Field names, types and defaults follow task-sdk 1.3 and are checked against the list
//! recorded from it. Unknown keys are ignored on the way in; keys that the child forbids
//! are never sent.

mod asset;
mod bundle;
mod dag_run;
mod decode;
mod executor;
mod from_row;
mod hitl;
mod outcome;
mod parse;
mod request;
mod response;
mod secret;
mod startup;
mod state_store;
mod task_instance;
mod trigger;
mod xcom;

pub use asset::*;
pub use bundle::*;
pub use dag_run::*;
pub use decode::DecodeError;
pub use executor::*;
pub use hitl::*;
pub use outcome::*;
pub use parse::*;
pub use request::{Request, StoreRequest};
pub use response::{ErrorResponse, ErrorType, Response, answer_frame};
pub use secret::*;
pub use startup::*;
pub use state_store::*;
pub use task_instance::*;
pub use trigger::*;
pub use xcom::*;
