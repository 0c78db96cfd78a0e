//! Asks the user's Python what only it knows: timetables, weight rules, listeners and whatever
//! else plugins and settings bring along.
//!
//! A question goes to a **helper**, a child of the zygote that lives as long as it has something to
//! do. Each question has a deadline; a helper that does not keep it is killed with everything it
//! started, and whoever made it late is left alone for a while. Questions about different classes
//! do not wait for each other. Answers that depend on nothing but the question are kept.
//!
//! This crate decides nothing and knows no store: whoever asks says what follows from the answer,
//! and never asks inside a transaction. What user code wants to know while it answers
//! (connections, variables) is answered by a function that the process gives along.
//!
//! Start with [`Plugins`], whose methods are the questions; `desk` decides who is served when, and
//! `helper` holds the conversation with one child.

mod cache;
mod desk;
mod error;
mod facts;
mod helper;
mod inventory;
mod listener;
mod output;
mod partition;
mod plugins;
mod pool;
mod question;
mod run_request;
mod secret;
mod task_instance;
mod timetable;

pub use error::Error;
pub use facts::{dag_facts, run_facts};
pub use inventory::{Inventory, PluginInfo, ProviderInfo, Providers};
pub use listener::{ListenerCall, RunRows, Subject};
pub use plugins::{AnswerChild, ChildRequest, Plugins, PluginsOptions};
pub use run_request::needs_python;
pub use secret::{SecretConnection, SecretWanted, SecretsBackend};
pub use task_instance::{DagSource, Settled, SettledFields, TaskInstanceDraft};
pub use timetable::{CompletedRun, LastRun, ManualRun, NextRun, RunsBetween};
