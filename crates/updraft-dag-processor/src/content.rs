//! What a parse found, as rows.
//!
//! [`read`] is pure but for the source code it reads from the bundle; [`persist`] writes it all in
//! one transaction, and computes there when the next run is due, because that depends on the runs
//! that exist at that moment.

mod assets;
mod deadlines;
mod described;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::debug;
use updraft_execution::chain;
use updraft_model::dag::{Dag, NextDagRun};
use updraft_model::serialized::{DagAttributes, SerializedDag};
use updraft_model::{DagId, DagVersionId};
use updraft_runtime::{Clock, Ids};
use updraft_store::{
    Error, FileError, NewDagWarning, ParseOutcome, ParsedDag, ParsedFile, Store, Tx,
};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{DagFileParsingResult, LazyDeserializedDAG};
use updraft_timetable::{Timetable, next_dagrun};

use crate::bundle::Bundle;
use crate::dag_hash::dag_hash;
use crate::files::{FileKey, Held};

/// Who owns a Dag whose tasks name nobody: `[operators] default_owner`.
const DEFAULT_OWNER: &str = "airflow";

/// What is known of a file before it is parsed.
#[derive(Clone, Debug)]
pub struct Parsing {
    pub bundle: Bundle,
    pub key: FileKey,
    /// `[core] dags_are_paused_at_creation`.
    pub paused_at_creation: bool,
}

/// A file, ready to be stored.
pub struct Content {
    file: ParsedFile,
    bundle_path: PathBuf,
    /// Of each Dag of the file, in the same order.
    structures: Vec<Structure>,
}

/// What scheduling needs of a Dag.
struct Structure {
    dag: SerializedDag,
    timetable: Timetable,
}

impl Parsing {
    pub(crate) fn path(&self) -> PathBuf {
        self.bundle.path.join(&self.key.path)
    }

    /// The content of a file that gave no result at all.
    pub(crate) fn failed(&self, stacktrace: String, duration: Duration) -> Content {
        let mut content = self.empty(duration);
        content.file.import_errors.push(FileError {
            filename: self.key.path.clone(),
            stacktrace,
        });
        content
    }

    fn empty(&self, duration: Duration) -> Content {
        Content {
            bundle_path: self.bundle.path.clone(),
            file: ParsedFile {
                bundle_name: self.bundle.name.clone(),
                relative_fileloc: self.key.path.clone(),
                dags: Vec::new(),
                import_errors: Vec::new(),
                warnings: Vec::new(),
                duration_secs: duration.as_secs_f64(),
                content_hash: None,
            },
            structures: Vec::new(),
        }
    }

    /// Reads what the child sent. A Dag that cannot be understood becomes an import error and does
    /// not hold back the others.
    #[must_use]
    pub fn read(&self, result: &DagFileParsingResult, duration: Duration, ids: &Ids) -> Content {
        let mut content = self.empty(duration);
        let errors = result.import_errors.iter().flatten();
        content.file.import_errors = errors
            .map(|(filename, stacktrace)| FileError {
                filename: filename.clone(),
                stacktrace: stacktrace.clone(),
            })
            .collect();
        let warnings = result.warnings.iter().flatten();
        content.file.warnings = warnings.filter_map(warning).collect();
        for dag in &result.serialized_dags {
            match self.read_dag(dag, ids) {
                Ok((mut parsed, structure)) => {
                    parsed.dag.last_parse_duration_secs = Some(duration.as_secs_f64());
                    content.file.dags.push(parsed);
                    content.structures.push(structure);
                }
                Err(problem) => content.add_error(&self.key.path, &problem),
            }
        }
        content
    }

    fn read_dag(
        &self,
        sent: &LazyDeserializedDAG,
        ids: &Ids,
    ) -> Result<(ParsedDag, Structure), String> {
        let raw = sent.data.to_json().map_err(|error| chain(&error))?;
        let dag = SerializedDag::parse(raw.to_serde_value()).map_err(|error| chain(&error))?;
        let attributes = dag.attributes();
        let timetable = Timetable::from_serialized(&attributes.timetable)
            .map_err(|error| format!("Dag `{}`, timetable: {}", dag.dag_id(), chain(&error)))?;
        let parsed = ParsedDag {
            dag: self.row(&dag, &timetable),
            owner_links: owner_links(dag.raw()),
            data: sent.data.as_str().to_owned(),
            dag_hash: dag_hash(sent.data.as_str()).map_err(|error| chain(&error))?,
            source_code: source::read(&attributes.fileloc),
            new_version_id: DagVersionId(ids.uuid()),
            assets: assets::of(&dag, &timetable),
            deadlines: deadlines::of(&raw, ids)?,
        };
        Ok((parsed, Structure { dag, timetable }))
    }

    fn row(&self, dag: &SerializedDag, timetable: &Timetable) -> Dag {
        let attributes = dag.attributes();
        let relative_fileloc = attributes.relative_fileloc.clone();
        Dag {
            dag_id: dag.dag_id().clone(),
            dag_display_name: attributes.display_name.clone(),
            description: attributes.description.clone(),
            is_paused: attributes
                .is_paused_upon_creation
                .unwrap_or(self.paused_at_creation),
            is_stale: false,
            has_import_errors: false,
            exceeds_max_non_backfill: false,
            bundle_name: self.bundle.name.clone(),
            bundle_version: self.bundle.version.clone(),
            relative_fileloc: relative_fileloc.unwrap_or_else(|| self.key.path.clone()),
            fileloc: attributes.fileloc.clone(),
            owners: owners(dag),
            tags: attributes.tags.clone(),
            timetable_summary: Some(timetable.summary()),
            timetable_description: Some(timetable.description()),
            timetable_type: timetable.type_name().to_owned(),
            timetable_partitioned: timetable.partitioned(),
            asset_expression: timetable
                .asset_schedule()
                .and_then(|schedule| assets::expression(&schedule.serialized)),
            max_active_tasks: attributes.max_active_tasks,
            max_active_runs: attributes.max_active_runs,
            max_consecutive_failed_dag_runs: attributes.max_consecutive_failed_dag_runs,
            has_task_concurrency_limits: dag.tasks().iter().any(|task| {
                let limits = task.limits;
                limits.max_active_tis_per_dag.is_some()
                    || limits.max_active_tis_per_dagrun.is_some()
            }),
            fail_fast: attributes.fail_fast,
            allowed_run_types: allowed_run_types(attributes),
            // Known only when it is stored.
            next_dagrun: NextDagRun::default(),
            last_parsed_time: None,
            last_parse_duration_secs: None,
            last_expired: None,
        }
    }
}

impl Content {
    pub(crate) fn held(&self) -> Held {
        match (
            self.file.dags.is_empty(),
            self.file.import_errors.is_empty(),
        ) {
            (_, false) => Held::Errors,
            (false, true) => Held::Dags,
            (true, true) => Held::Nothing,
        }
    }

    pub(crate) fn import_errors(&self) -> &[FileError] {
        &self.file.import_errors
    }

    /// A file has one error row, so several Dags share it.
    fn add_error(&mut self, filename: &str, problem: &str) {
        let errors = &mut self.file.import_errors;
        match errors.iter_mut().find(|error| error.filename == filename) {
            Some(error) => {
                error.stacktrace.push('\n');
                error.stacktrace.push_str(problem);
            }
            None => errors.push(FileError {
                filename: filename.to_owned(),
                stacktrace: problem.to_owned(),
            }),
        }
    }

    /// Stores everything, or nothing.
    ///
    /// # Errors
    /// When the store fails for good.
    pub async fn persist(&self, store: &Store, clock: &Clock) -> Result<ParseOutcome, Error> {
        store
            .retry(|| async {
                let now = clock.now();
                let mut tx = store.write().await?;
                let mut file = self.file.clone();
                let mut asked = Vec::new();
                for (parsed, structure) in file.dags.iter_mut().zip(&self.structures) {
                    match structure.next_dagrun(&mut tx, now).await? {
                        Some(next) => parsed.dag.next_dagrun = next,
                        None => {
                            let dag_id = &parsed.dag.dag_id;
                            let before = tx.find_dag(dag_id).await?;
                            // Until Python has answered, what was known stays.
                            parsed.dag.next_dagrun =
                                before.map(|dag| dag.next_dagrun).unwrap_or_default();
                            asked.push(dag_id.clone());
                        }
                    }
                }
                let outcome = tx.persist_parse(&file, now).await?;
                for dag_id in &asked {
                    tx.ask_next_dagrun(dag_id, now).await?;
                }
                self.tell_of_import_errors(&mut tx, &outcome, now).await?;
                tx.commit().await?;
                Ok(outcome)
            })
            .await
    }
}

impl Content {
    async fn tell_of_import_errors(
        &self,
        tx: &mut Tx,
        outcome: &ParseOutcome,
        now: Timestamp,
    ) -> Result<(), Error> {
        for error in &self.file.import_errors {
            let hook = if outcome.known_errors.contains(&error.filename) {
                "on_existing_dag_import_error"
            } else {
                "on_new_dag_import_error"
            };
            let body = || {
                let path = self.bundle_path.join(&error.filename);
                json!({ "filename": path, "stacktrace": error.stacktrace })
            };
            tx.tell_listeners(hook, body, now).await?;
        }
        Ok(())
    }
}

impl Structure {
    /// A Dag whose schedule cannot be evaluated has no next run, as in Airflow. `None`: its timetable
    /// is the user's own class, which is to be asked.
    async fn next_dagrun(&self, tx: &mut Tx, now: Timestamp) -> Result<Option<NextDagRun>, Error> {
        if !self.timetable.can_be_scheduled() {
            return Ok(Some(NextDagRun::default()));
        }
        if self.timetable.custom().is_some() {
            return Ok(None);
        }
        let dag_id = self.dag.dag_id();
        let last = tx
            .find_latest_automated_run(dag_id, self.timetable.partitioned())
            .await?;
        let next = next_dagrun(&self.dag, last.as_ref(), now).unwrap_or_else(|error| {
            debug!(%dag_id, error = %chain(&error), "found no next run of a Dag");
            NextDagRun::default()
        });
        Ok(Some(next))
    }
}

/// The owners that tasks name themselves.
fn owners(dag: &SerializedDag) -> String {
    let mut owners: Vec<&str> = dag
        .tasks()
        .iter()
        .filter_map(|task| dag.raw_task(task.index).get("owner")?.as_str())
        .filter(|owner| !owner.is_empty())
        .collect();
    // Airflow keeps no order here; a fixed one spares the reader.
    owners.sort_unstable();
    owners.dedup();
    if owners.is_empty() {
        return DEFAULT_OWNER.to_owned();
    }
    owners.join(", ")
}

fn owner_links(raw: &Value) -> Vec<(String, String)> {
    let links = &raw["dag"]["owner_links"];
    // A map may or may not have its wrapper.
    let links = links.get("__var").unwrap_or(links);
    let links = links.as_object().into_iter().flatten();
    links
        .filter_map(|(owner, link)| Some((owner.clone(), link.as_str()?.to_owned())))
        .collect()
}

fn allowed_run_types(attributes: &DagAttributes) -> Option<Vec<String>> {
    let types = attributes.allowed_run_types.as_ref()?;
    let mut types: Vec<String> = types.iter().map(ToString::to_string).collect();
    types.sort_unstable();
    // As in Airflow, no type at all means every type.
    (!types.is_empty()).then_some(types)
}

fn warning(warning: &JsonText) -> Option<NewDagWarning> {
    let warning = warning.to_json().ok()?.to_serde_value();
    let text = |key: &str| Some(warning.get(key)?.as_str()?.to_owned());
    Some(NewDagWarning {
        dag_id: DagId::from(text("dag_id")?),
        warning_type: text("warning_type")?,
        message: text("message")?,
    })
}
