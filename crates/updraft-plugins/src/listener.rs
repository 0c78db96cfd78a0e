//! Calls listeners of the server side.

use serde_json::{Value, json};

use crate::Error;
use crate::plugins::Plugins;
use crate::question::Question;
use crate::task_instance::DagSource;

/// One call of one listener.
#[derive(Clone, Debug)]
pub struct ListenerCall<'a> {
    /// `on_dag_run_success` and the like.
    pub hook: &'static str,
    pub listener: &'a str,
    pub subject: Subject,
}

/// What a hook is told.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The process that calls listeners starts.
    Start,
    DagRun {
        rows: RunRows,
        msg: String,
    },
    TaskInstance {
        rows: RunRows,
        /// Which of the rows.
        ti_id: String,
        previous_state: Option<String>,
        /// Why it failed.
        msg: String,
    },
    /// `{"name", "uri", "group", "extra"}`.
    Asset(Value),
    /// `{"name", "group"}`.
    AssetAlias(Value),
    /// The fields of `AssetEvent`, with the asset and its aliases as above.
    AssetEvent(Value),
    ImportError {
        filename: String,
        stacktrace: String,
    },
}

/// A run and what belongs to it, as rows.
#[derive(Clone, Debug)]
pub struct RunRows {
    /// [`run_facts`](crate::run_facts).
    pub dag_run: Value,
    /// [`dag_facts`](crate::dag_facts).
    pub dag_row: Value,
    pub dag_versions: Vec<Value>,
    pub task_instances: Vec<Value>,
    pub dag: Option<DagSource>,
}

impl Plugins {
    /// Calls one listener; `false` when there is none of that name any more.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call_listener(&self, call: &ListenerCall<'_>) -> Result<bool, Error> {
        let body = body_of(call);
        let question = Question::new("CallListener", call.listener, call.hook, &body);
        self.ask_listener(question).await
    }
}

fn body_of(call: &ListenerCall<'_>) -> Value {
    let mut body = match &call.subject {
        Subject::Start => json!({ "subject": "start" }),
        Subject::DagRun { rows, msg } => {
            let mut body = rows_json(rows);
            body["subject"] = "dag_run".into();
            body["msg"] = msg.as_str().into();
            body
        }
        Subject::TaskInstance {
            rows,
            ti_id,
            previous_state,
            msg,
        } => {
            let mut body = rows_json(rows);
            body["subject"] = "task_instance".into();
            body["ti_id"] = ti_id.as_str().into();
            body["previous_state"] = previous_state.clone().into();
            body["msg"] = msg.as_str().into();
            body
        }
        Subject::Asset(asset) => json!({ "subject": "asset", "asset": asset }),
        Subject::AssetAlias(alias) => json!({ "subject": "asset_alias", "asset_alias": alias }),
        Subject::AssetEvent(event) => json!({ "subject": "asset_event", "asset_event": event }),
        Subject::ImportError {
            filename,
            stacktrace,
        } => json!({
            "subject": "import_error",
            "filename": filename,
            "stacktrace": stacktrace,
        }),
    };
    body["hook"] = call.hook.into();
    body["listener"] = call.listener.into();
    body
}

fn rows_json(rows: &RunRows) -> Value {
    json!({
        "dag_run": rows.dag_run,
        "dag_row": rows.dag_row,
        "dag_versions": rows.dag_versions,
        "task_instances": rows.task_instances,
        "dag": rows.dag.as_ref().map(DagSource::whole),
    })
}
