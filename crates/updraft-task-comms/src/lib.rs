//! The language we speak with a Python child: frames, messages, the task session, masking
//! and log lines.
//!
//! Pure: no sockets, no files, no clock. The worker owns the child's four channels and the
//! store; it feeds events into a [`session::TaskSession`] and carries out the effects it
//! gets back. The same messages serve Dag-parse children and the triggerer.
//!
//! What it deliberately does not do: start processes, split work over tasks, decide what a
//! crash means for the Dag run (the planner does), or speak HTTP (the Execution API has its
//! own types).
//!
//! Start reading at [`frame`], then [`message`], then [`session`].
//!
//! Stability: the types of [`message`] and [`frame`] are settled, they mirror task-sdk 1.3.
//! [`session`] may still gain events and effects.

pub mod frame;
pub mod json;
pub mod line_splitter;
pub mod log_line;
pub mod masker;
pub mod message;
pub mod resumption;
pub mod scalar;
pub mod session;
