//! A row of `trigger`: something that waits in Python, many to a process, until it has an event.

use jiff::Timestamp;

pub use crate::callback::CallbackState;
use crate::str_enum::str_enum;
use crate::task_instance::TaskInstance;
use crate::{JobId, TriggerId};

str_enum! {
    /// Who waits for a trigger.
    pub enum TriggerKind("trigger kind") {
        /// One deferred task instance. The trigger goes when the task instance goes on.
        Task = "task",
        /// The watchers of any number of assets. The trigger starts again when it ends.
        Asset = "asset",
        /// The trigger *is* an asynchronous callback and says how it went.
        Callback = "callback",
    }
}

/// One trigger, its arguments decrypted.
#[derive(Clone, PartialEq)]
pub struct Trigger {
    pub id: TriggerId,
    pub kind: TriggerKind,
    pub classpath: String,
    /// A JSON object, as text; secret. `None`: it was encrypted with a key that we do not have.
    pub kwargs: Option<String>,
    pub created_date: Timestamp,
    /// The triggerer job that runs it.
    pub triggerer_id: Option<JobId>,
    pub queue: Option<String>,
}

impl std::fmt::Debug for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trigger")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("classpath", &self.classpath)
            .finish_non_exhaustive()
    }
}

/// A trigger with whoever waits for it: what it takes to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnableTrigger {
    pub trigger: Trigger,
    pub waiting: Waiting,
}

/// Who waits for a trigger, with what the trigger may want to know of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Waiting {
    Task(Box<TaskInstance>),
    /// Names and URIs of the watched assets, by name.
    Assets(Vec<(String, String)>),
    Callback,
}
