//! Questions about partitions and deadlines: mappers, windows and references of the user.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::facts::parse_date;
use crate::listener::RunRows;
use crate::plugins::Plugins;
use crate::question::Question;

/// A method of a partition mapper and what it is called with.
#[derive(Clone, Debug, PartialEq)]
pub struct MapperCall {
    /// `{"__type", "__var"}`, as serialized; it may hold other mappers and windows.
    pub mapper: Value,
    /// `to_downstream`, `to_upstream`, `to_partition_date`, or a plain attribute such as
    /// `max_downstream_keys`.
    pub call: String,
    pub arguments: Vec<Value>,
}

impl Plugins {
    /// Calls partition mappers, one result each: a text, a number, null, or a sorted list of texts;
    /// dates are texts. `asked` is the class that needs Python. The answer is kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn map_partitions(
        &self,
        asked: &str,
        calls: &[MapperCall],
    ) -> Result<Vec<Value>, Error> {
        let steps: Vec<Value> = calls
            .iter()
            .map(|call| {
                json!({ "mapper": call.mapper, "call": call.call, "arguments": call.arguments })
            })
            .collect();
        let body = json!({ "steps": steps });
        let question = Question::new("MapPartitions", asked, "mapping a partition", &body);
        self.ask_once(question).await
    }

    /// The instant that a deadline reference of the user gives for a run; `None`: it gives none.
    /// `reference` is the serialized reference.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn evaluate_deadline_reference(
        &self,
        reference: &Value,
        asked: &str,
        rows: &RunRows,
    ) -> Result<Option<Timestamp>, Error> {
        let body = json!({
            "reference": reference,
            "dag_run": rows.dag_run,
            "dag_row": rows.dag_row,
            "dag_versions": rows.dag_versions,
            "task_instances": rows.task_instances,
        });
        let question = Question::new("EvaluateDeadlineReference", asked, "evaluate_with", &body);
        let answer: Reference = self.ask(question.clone()).await?;
        answer
            .at
            .as_deref()
            .map(parse_date)
            .transpose()
            .map_err(|problem| question.nonsense(problem))
    }
}

#[derive(Deserialize)]
struct Reference {
    at: Option<String>,
}
