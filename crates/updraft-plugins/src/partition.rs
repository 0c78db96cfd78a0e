//! Questions about partitions and deadlines: mappers, windows and references of the user.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use updraft_timetable::{Ask, Judged, Mapped, MapperAnswer, MapperQuestion};

use crate::Error;
use crate::facts::{date, parse_date};
use crate::listener::RunRows;
use crate::plugins::Plugins;
use crate::question::Question;

impl Plugins {
    /// Asks a partition mapper.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ask_mapper(&self, asked: &MapperQuestion) -> Result<MapperAnswer, Error> {
        let mut body = json!({ "mapper": asked.mapper });
        match &asked.ask {
            Ask::Map {
                key,
                partition_date,
            } => {
                body["key"] = json!(key);
                body["partition_date"] = date(*partition_date);
                let question =
                    Question::new("MapPartition", &asked.class_path, "to_downstream", &body);
                let answer: MappedAnswer = self.ask(question.clone()).await?;
                let mapped = answer.read().map_err(|problem| question.nonsense(problem));
                mapped.map(MapperAnswer::Mapped)
            }
            Ask::Judge {
                downstream_key,
                source_keys,
            } => {
                body["downstream_key"] = json!(downstream_key);
                body["source_keys"] = json!(source_keys);
                let question =
                    Question::new("JudgePartition", &asked.class_path, "to_upstream", &body);
                let answer: JudgedAnswer = self.ask(question.clone()).await?;
                let judged = answer.read().map_err(|problem| question.nonsense(problem));
                judged.map(MapperAnswer::Judged)
            }
        }
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

#[derive(Deserialize)]
struct MappedAnswer {
    keys: Vec<String>,
    keys_max: Option<u32>,
    partition_date: Option<String>,
}

impl MappedAnswer {
    fn read(self) -> Result<Mapped, String> {
        Ok(Mapped {
            keys: self.keys,
            keys_max: self.keys_max,
            partition_date: self.partition_date.as_deref().map(parse_date).transpose()?,
        })
    }
}

#[derive(Deserialize)]
struct JudgedAnswer {
    is_satisfied: bool,
    unreachable: Option<String>,
    #[serde(default)]
    partition_date: Option<String>,
    /// Why there is no date.
    #[serde(default)]
    undated: Option<String>,
}

impl JudgedAnswer {
    fn read(self) -> Result<Judged, String> {
        let date = self.partition_date.as_deref().map(parse_date).transpose()?;
        Ok(Judged {
            is_satisfied: self.is_satisfied,
            unreachable: self.unreachable,
            partition_date: self.undated.map_or(Ok(date), Err),
        })
    }
}
