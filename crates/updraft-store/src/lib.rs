//! The metadata store: every row Updraft keeps, on SQLite or PostgreSQL.
//!
//! The only crate that knows SQL. It loads rows, applies what others decided by compare-and-set,
//! and decides nothing itself: when a task instance may be queued is the planner's business; that
//! two schedulers never queue the same one is the store's.
//!
//! Start with [`Store`] (open, migrate, read, write), then [`Reader`] and [`Tx`]: reads are methods
//! on [`Reader`], writes are methods on [`Tx`], which is a reader too. One file per aggregate.
//!
//! Every call fails with [`Error`] when the database does; what else can happen is in the return type.
//!
//! One SQL text serves both databases, through sqlx's `Any` driver; where the dialects really
//! differ, [`Dialect`] gives the fragment. In the tables instants are microseconds since the epoch,
//! JSON and UUIDs are text, durations are seconds.
//!
//! # Locks
//! A transaction that locks rows of several tables does so in this order: `backfill`, `dag_run`,
//! `task_instance`, `slot_pool`. On SQLite there is one writer at a time, so order does not matter;
//! on PostgreSQL breaking it means deadlocks. No network call, channel send or Python runs inside a
//! transaction. Serialization failures, deadlocks and a busy file are retried in one place,
//! [`Store::retry`].
//!
//! # Hints
//! [`Store::changes`] says where something changed, after the commit. A lost hint costs latency and
//! never correctness: whoever listens also scans now and then.

#[cfg(test)]
extern crate self as updraft_store;

mod asset;
mod asset_activity;
mod asset_event;
mod asset_partition;
mod asset_queue;
mod asset_watch;
mod backfill;
mod callback;
mod callback_run;
mod change;
mod clear;
mod connection;
mod connection_test;
mod dag;
mod dag_favorite;
mod dag_run;
mod deadline;
mod dialect;
mod error;
mod event_log;
mod execution;
mod gate;
mod history;
mod hitl;
mod job;
mod keyring;
mod listener_event;
pub mod listing;
mod location;
mod migrate;
mod other_writers;
mod parse;
mod partition_run;
mod plugin_inventory;
mod pool;
mod row;
mod scheduling;
mod session;
mod settling;
mod state_store;
mod store;
mod task_instance;
#[cfg(test)]
mod test_support;
mod trigger;
mod user_account;
mod variable;
mod xcom;

pub use asset::{AssetEventQuery, EventsOf};
pub use asset_event::{NewAssetEvent, OutletEvent, TaskOutlet};
pub use asset_partition::{EventSource, PendingPartition, UnmappedEvent};
pub use asset_queue::{EventWindow, QueuedConsumer, ResolvedKeys, WhichDags};
pub use callback::NewCallbackRequest;
pub use callback_run::{CallbackPlace, OrphanedCallbacks};
pub use change::{Change, Changes};
pub use clear::{ResetFields, RunClear, StateChange, TaskInstanceClear};
pub use connection_test::NewConnectionTest;
pub use dag::SerializedText;
pub use dag_run::{RunCreation, RunKey, RunStateChange};
pub use deadline::{AskedDeadline, DueDeadline, NewDeadlineAlert, UnresolvedDeadline};
pub use dialect::Dialect;
pub use error::Error;
pub use event_log::NewEventLog;
pub use execution::alive::{Heartbeat, Liveness};
pub use execution::outcome::{
    AwaitInput, Defer, Finish, Reschedule, Retry, Transition, TriggerKwargs,
};
pub use execution::queries::{Breadcrumb, DagRunQuery, TaskInstanceQuery, TaskState};
pub use execution::start::{Runner, Start, StartedTry};
pub use gate::{Gate, GateKeeper, Passage};
pub use history::Succession;
pub use job::NewJob;
pub use keyring::Keyring;
pub use listener_event::ListenerEvent;
pub use migrate::SchemaState;
pub use parse::files::{Bundle, FileStats, ParseRequest};
pub use parse::references::{AssetAliasDefinition, AssetDefinition, DagAssets};
pub use parse::{FileError, NewDagWarning, ParseOutcome, ParsedDag, ParsedFile};
pub use partition_run::{PartitionRun, PartitionSelection};
pub use plugin_inventory::{MutationHook, PluginInventory};
pub use scheduling::apply::{Deferral, TaskInstanceUpdate};
pub use scheduling::lost::BuriedTry;
pub use scheduling::queueing::{ActiveCount, QueueCandidate, Workload};
pub use scheduling::runs::{BackfillOfCandidate, StartCandidate};
pub use scheduling::view::{LockedRun, SkipXCom, SlimTaskInstance, VersionStamp};
pub use session::{Reader, Tx};
pub use settling::{AskedDag, TaskInstanceSettlement, UnsettledTaskInstance};
pub use store::{Store, StoreOptions};
pub use task_instance::StartedTaskInstance;
pub use trigger::NewTaskTrigger;
pub use trigger::callback::{CallbackReport, NewCallbackTrigger};
pub use trigger::claim::{TriggerClaim, TriggerQueues};
pub use trigger::resume::{FAIL_METHOD, Resumption};
pub use trigger::watcher::AssetWatcher;
pub use user_account::UserAccount;
pub use variable::VariableKeys;
pub use xcom::{Slice, XComKey};
