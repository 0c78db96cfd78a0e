//! The words everybody shares: identifiers, states and the rows of the metadata store.
//!
//! Pure data. This crate does no I/O, reads no clock and knows neither SQL nor HTTP: the store
//! turns rows into these types, the API turns these types into Airflow's JSON. Names are Airflow's.
//!
//! Start with [`state`] (what a task instance or a Dag run can be), then [`task_instance`] and
//! [`dag_run`]; [`serialized`] reads the serialized Dag that the Python child sends.

pub mod asset;
pub mod backfill;
pub mod callback;
pub mod connection;
pub mod connection_test;
pub mod dag;
pub mod dag_run;
pub mod deadline;
pub mod event_log;
pub mod filter;
pub mod hitl;
pub mod id;
pub mod job;
pub mod pool;
pub mod python_repr;
pub mod serialized;
pub mod state;
pub mod state_store;
mod str_enum;
pub mod task_instance;
pub mod trigger;
pub mod variable;
mod view_url;
pub mod workload;
pub mod xcom;

pub use id::{
    BundleName, DagId, DagVersionId, JobId, MapIndex, PoolName, RunId, TaskId, TaskInstanceId,
    TriggerId,
};
pub use state::{
    DagRunState, DagRunTriggeredBy, DagRunType, TaskInstanceState, TriggerRule, UnknownName,
};
pub use view_url::ViewUrl;
