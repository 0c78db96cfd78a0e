//! People: tasks that wait for them, and what is told to them.

mod connections;
mod deadlines;
mod failures;
mod hitl;
