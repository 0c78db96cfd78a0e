//! Questions about new and cleared task instances: weight rules and the cluster's mutation hook.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use updraft_model::dag_run::DagRun;
use updraft_model::{DagVersionId, MapIndex, TaskId, TaskInstanceId};

use crate::Error;
use crate::facts::run_facts;
use crate::plugins::Plugins;
use crate::question::{Question, Raised};

/// A serialized Dag, sent only to helpers that do not have it.
#[derive(Clone, Debug)]
pub struct DagSource {
    /// Names the content.
    pub hash: String,
    /// The JSON text.
    pub data: Arc<str>,
}

impl DagSource {
    pub(crate) fn name_only(&self) -> Value {
        json!({ "hash": self.hash, "data": null })
    }

    pub(crate) fn whole(&self) -> Value {
        let data: Value = serde_json::from_str(&self.data).unwrap_or_default();
        json!({ "hash": self.hash, "data": data })
    }
}

/// A task instance that is about to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInstanceDraft {
    pub id: TaskInstanceId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    /// Tries before the one that is to come: 0 unless it was cleared.
    pub tries_made: i32,
    pub max_tries: i32,
    pub dag_version_id: Option<DagVersionId>,
}

/// What the cluster makes of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SettledFields {
    pub pool: String,
    pub pool_slots: i32,
    pub queue: String,
    pub priority_weight: i64,
    pub executor: Option<String>,
    /// `None`: as in the Dag.
    pub executor_config: Option<Value>,
    pub max_tries: i32,
}

/// The answer for one task instance.
#[derive(Clone, Debug)]
pub struct Settled {
    pub id: TaskInstanceId,
    pub fields: Result<SettledFields, Error>,
    /// Its weight rule raised, and the weight is that of the task alone.
    pub weight_error: Option<Error>,
}

impl Plugins {
    /// Says what becomes of the fields of task instances of one run. `asked` names whose code runs.
    ///
    /// # Errors
    /// See [`Error`]. One that raises for some of them is an error of those only.
    pub async fn settle_task_instances(
        &self,
        dag: &DagSource,
        run: &DagRun,
        drafts: &[TaskInstanceDraft],
        asked: &str,
    ) -> Result<Vec<Settled>, Error> {
        let drafts: Vec<Value> = drafts.iter().map(draft_json).collect();
        let mut source = dag.name_only();
        loop {
            let is_whole = !source["data"].is_null();
            let body = json!({
                "dag": source,
                "dag_run": run_facts(run),
                "task_instances": drafts,
            });
            let question = Question::new(
                "SettleTaskInstances",
                asked,
                "its say on a task instance",
                &body,
            );
            let answer: SettleAnswer = self.ask(question.clone()).await?;
            if answer.dag_wanted && is_whole {
                return Err(question.nonsense("it wants a Dag that it was given"));
            }
            if !answer.dag_wanted {
                let settled: Result<Vec<Settled>, String> = answer
                    .task_instances
                    .into_iter()
                    .map(|each| each.read(&question))
                    .collect();
                return settled.map_err(|problem| question.nonsense(problem));
            }
            source = dag.whole();
        }
    }
}

fn draft_json(draft: &TaskInstanceDraft) -> Value {
    json!({
        "id": draft.id.to_string(),
        "task_id": draft.task_id,
        "map_index": draft.map_index.0,
        "tries_made": draft.tries_made,
        "max_tries": draft.max_tries,
        "dag_version_id": draft.dag_version_id.map(|id| id.to_string()),
    })
}

#[derive(Deserialize)]
struct SettleAnswer {
    dag_wanted: bool,
    #[serde(default)]
    task_instances: Vec<SettledAnswer>,
}

#[derive(Deserialize)]
struct SettledAnswer {
    id: String,
    raised: Option<Raised>,
    weight_raised: Option<Raised>,
    #[serde(flatten)]
    fields: serde_json::Map<String, Value>,
}

impl SettledAnswer {
    fn read(self, question: &Question) -> Result<Settled, String> {
        let id = self
            .id
            .parse()
            .map(TaskInstanceId)
            .map_err(|_| format!("expected the id of a task instance, found `{}`", self.id))?;
        let fields = match self.raised {
            Some(raised) => Err(question.raised(raised)),
            None => serde_json::from_value(Value::Object(self.fields))
                .map_err(|error| question.nonsense(error)),
        };
        let weight_error = self.weight_raised.map(|raised| question.raised(raised));
        Ok(Settled {
            id,
            fields,
            weight_error,
        })
    }
}
