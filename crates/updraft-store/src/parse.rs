//! The Dag processor's side: what a parsed file means for the rows.
//!
//! [`Tx::persist_parse`] is one file in one transaction. [`versions`] decides between keeping,
//! overwriting and adding a version; [`references`] keeps what points at assets; [`files`] knows
//! bundles, files that vanished and requests to parse soon.

pub(crate) mod files;
pub(crate) mod references;
pub(crate) mod versions;

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::dag::Dag;
use updraft_model::{BundleName, DagId, DagVersionId};

use crate::deadline::NewDeadlineAlert;
use crate::dialect::Kind;
use crate::parse::references::DagAssets;
use crate::row::{assembled, bind_real, micros, micros_or_null, text_array};
use crate::{Error, Tx};

/// Everything one parse of one file found.
#[derive(Clone, Debug)]
pub struct ParsedFile {
    pub bundle_name: BundleName,
    /// Relative to the bundle.
    pub relative_fileloc: String,
    pub dags: Vec<ParsedDag>,
    pub import_errors: Vec<FileError>,
    pub warnings: Vec<NewDagWarning>,
    pub duration_secs: f64,
    /// Tells whether the file changed since.
    pub content_hash: Option<String>,
}

/// One Dag of a file.
#[derive(Clone, Debug)]
pub struct ParsedDag {
    /// `is_paused` counts only when the Dag is seen for the first time; `is_stale`,
    /// `has_import_errors`, `exceeds_max_non_backfill`, `last_parsed_time` and `last_expired` are
    /// not looked at.
    pub dag: Dag,
    /// Owner and link.
    pub owner_links: Vec<(String, String)>,
    /// The serialized Dag, JSON text.
    pub data: String,
    pub dag_hash: String,
    pub source_code: String,
    /// The id a new version gets, should one be needed.
    pub new_version_id: DagVersionId,
    pub assets: DagAssets,
    /// In the order of the file.
    pub deadlines: Vec<NewDeadlineAlert>,
}

/// Why a file, or a member of a zip file, gave no Dag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Relative to the bundle.
    pub filename: String,
    pub stacktrace: String,
}

/// Something about a Dag that works but should not stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDagWarning {
    pub dag_id: DagId,
    pub warning_type: String,
    pub message: String,
}

/// What a parse changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParseOutcome {
    /// Dags that were seen for the first time.
    pub new_dags: Vec<DagId>,
    /// Dags whose structure changed.
    pub changed_dags: Vec<DagId>,
    /// Dags that the file no longer gives.
    pub vanished_dags: Vec<DagId>,
    /// Import errors that were there before.
    pub known_errors: Vec<String>,
}

impl Tx {
    /// Writes what a parse found, all or nothing.
    pub async fn persist_parse(
        &mut self,
        file: &ParsedFile,
        now: Timestamp,
    ) -> Result<ParseOutcome, Error> {
        let known = self
            .load_dags_of_file(file.bundle_name.as_str(), &file.relative_fileloc)
            .await?;
        let mut outcome = ParseOutcome::default();
        for parsed in &file.dags {
            let dag_id = &parsed.dag.dag_id;
            let before = match known.iter().find(|dag| dag.dag_id == *dag_id) {
                Some(dag) => Some(dag.clone()),
                None => self.find_dag(dag_id).await?,
            };
            self.persist_dag(parsed, before.as_ref(), now, &mut outcome)
                .await?;
        }
        for dag in &known {
            let is_still_there = file.dags.iter().any(|each| each.dag.dag_id == dag.dag_id);
            if !is_still_there && !dag.is_stale {
                outcome.vanished_dags.push(dag.dag_id.clone());
            }
        }
        self.mark_stale(&outcome.vanished_dags).await?;
        outcome.known_errors = self.replace_import_errors(file, now).await?;
        self.replace_warnings(file, now).await?;
        self.note_parse(file, now).await?;
        self.refresh_asset_watchers(now).await?;
        Ok(outcome)
    }

    async fn persist_dag(
        &mut self,
        parsed: &ParsedDag,
        before: Option<&Dag>,
        now: Timestamp,
        outcome: &mut ParseOutcome,
    ) -> Result<(), Error> {
        let dag_id = &parsed.dag.dag_id;
        let expression = parsed.dag.asset_expression.as_ref();
        let expression = self.number_assets(expression, &parsed.assets, now).await?;
        self.upsert_dag(&parsed.dag, expression.as_ref(), now)
            .await?;
        if before.is_none_or(|before| before.tags != parsed.dag.tags) {
            self.replace_tags(dag_id, &parsed.dag.tags).await?;
        }
        self.replace_owner_links(dag_id, &parsed.owner_links)
            .await?;
        let structure_changed = self.write_version(parsed, now).await?;
        self.replace_asset_references(dag_id, &parsed.assets, now)
            .await?;
        self.refresh_exceeds_max_non_backfill(dag_id).await?;
        if before.is_none() {
            outcome.new_dags.push(dag_id.clone());
        } else if structure_changed {
            outcome.changed_dags.push(dag_id.clone());
        }
        let schedule_moved = before.is_none_or(|before| {
            before.is_stale
                || before.has_import_errors
                || before.next_dagrun != parsed.dag.next_dagrun
                || before.max_active_runs != parsed.dag.max_active_runs
                || before.max_active_tasks != parsed.dag.max_active_tasks
        });
        if schedule_moved || structure_changed {
            self.touch_partitions_of_dag(dag_id).await?;
            self.dag_changed(dag_id);
        }
        Ok(())
    }

    async fn upsert_dag(
        &mut self,
        dag: &Dag,
        asset_expression: Option<&Value>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let next = &dag.next_dagrun;
        let statement = sqlx::query(UPSERT_DAG)
            .bind(dag.dag_id.as_str())
            .bind(dag.dag_display_name.as_deref())
            .bind(dag.description.as_deref())
            .bind(dag.is_paused)
            .bind(dag.bundle_name.as_str())
            .bind(dag.bundle_version.as_deref())
            .bind(dag.relative_fileloc.as_str())
            .bind(dag.fileloc.as_str())
            .bind(dag.owners.as_str())
            .bind(dag.timetable_summary.as_deref())
            .bind(dag.timetable_description.as_deref())
            .bind(dag.timetable_type.as_str())
            .bind(dag.timetable_partitioned)
            .bind(asset_expression.map(Value::to_string))
            .bind(dag.max_active_tasks)
            .bind(dag.max_active_runs)
            .bind(dag.max_consecutive_failed_dag_runs)
            .bind(dag.has_task_concurrency_limits)
            .bind(dag.fail_fast)
            .bind(dag.allowed_run_types.as_ref().map(text_array))
            .bind(micros_or_null(next.logical_date))
            .bind(micros_or_null(next.data_interval_start))
            .bind(micros_or_null(next.data_interval_end))
            .bind(micros_or_null(next.run_after))
            .bind(next.partition_key.as_deref())
            .bind(micros_or_null(next.partition_date))
            .bind(micros(now));
        let statement =
            bind_real(statement, dag.last_parse_duration_secs).bind(next.run_id.as_deref());
        self.execute("write a Dag", statement).await?;
        Ok(())
    }

    async fn replace_tags(&mut self, dag_id: &DagId, tags: &[String]) -> Result<(), Error> {
        let statement = sqlx::query("DELETE FROM dag_tag WHERE dag_id = $1").bind(dag_id.as_str());
        self.execute("replace the tags of a Dag", statement).await?;
        let given = self.dialect().rows("$2", "given", &[("tag", Kind::Text)]);
        let tags = Value::from_iter(tags.iter().map(|tag| json!({"tag": tag})));
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO dag_tag (dag_id, name)
             SELECT $1, tag FROM {given} WHERE TRUE
             ON CONFLICT DO NOTHING"
        )))
        .bind(dag_id.as_str())
        .bind(tags.to_string());
        self.execute("replace the tags of a Dag", statement).await?;
        Ok(())
    }

    async fn replace_owner_links(
        &mut self,
        dag_id: &DagId,
        links: &[(String, String)],
    ) -> Result<(), Error> {
        let statement =
            sqlx::query("DELETE FROM dag_owner_attributes WHERE dag_id = $1").bind(dag_id.as_str());
        self.execute("replace the owner links of a Dag", statement)
            .await?;
        for (owner, link) in links {
            let statement = sqlx::query(
                "INSERT INTO dag_owner_attributes (dag_id, owner, link)
                 VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING",
            )
            .bind(dag_id.as_str())
            .bind(owner.as_str())
            .bind(link.as_str());
            self.execute("replace the owner links of a Dag", statement)
                .await?;
        }
        Ok(())
    }

    /// Airflow marks every Dag of a file with an import error as stale, also those the file still
    /// gives.
    async fn replace_import_errors(
        &mut self,
        file: &ParsedFile,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let failing = text_array(file.import_errors.iter().map(|error| &error.filename));
        let known = self.load_known_errors(file, &failing).await?;
        let kept = self.dialect().one_of_texts("filename", "$3");
        // A zip file's errors carry the member's name behind its own.
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM import_error
              WHERE bundle_name = $1
                AND (filename = $2 OR substr(filename, 1, length($2) + 1) = $2 || '/')
                AND NOT ({kept})"
        )))
        .bind(file.bundle_name.as_str())
        .bind(file.relative_fileloc.as_str())
        .bind(failing);
        self.execute("replace import errors", statement).await?;
        for error in &file.import_errors {
            let statement = sqlx::query(
                "INSERT INTO import_error (timestamp, bundle_name, filename, stacktrace)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (bundle_name, filename) DO UPDATE
                    SET timestamp = excluded.timestamp, stacktrace = excluded.stacktrace",
            )
            .bind(micros(now))
            .bind(file.bundle_name.as_str())
            .bind(error.filename.as_str())
            .bind(error.stacktrace.as_str());
            self.execute("write an import error", statement).await?;
            let statement = sqlx::query(
                "UPDATE dag
                    SET has_import_errors = TRUE, is_stale = TRUE
                  WHERE bundle_name = $1 AND relative_fileloc = $2",
            )
            .bind(file.bundle_name.as_str())
            .bind(error.filename.as_str());
            self.execute("mark Dags with import errors", statement)
                .await?;
        }
        Ok(known)
    }

    /// Which of the failing files have failed before; asked only for those who listen.
    async fn load_known_errors(
        &mut self,
        file: &ParsedFile,
        failing: &str,
    ) -> Result<Vec<String>, Error> {
        if file.import_errors.is_empty() {
            return Ok(Vec::new());
        }
        let theirs = self.dialect().one_of_texts("filename", "$2");
        let statement = sqlx::query(assembled(format!(
            "SELECT filename FROM import_error WHERE bundle_name = $1 AND {theirs}"
        )))
        .bind(file.bundle_name.as_str())
        .bind(failing.to_owned());
        self.fetch_all("find known import errors", statement)
            .await?
            .iter()
            .map(|row| crate::row::Columns::of("import_error", row).owned())
            .collect()
    }

    async fn replace_warnings(&mut self, file: &ParsedFile, now: Timestamp) -> Result<(), Error> {
        let theirs = self.dialect().one_of_texts("dag_id", "$1");
        // Asset conflicts are found elsewhere, and stay until they are resolved there.
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM dag_warning WHERE {theirs} AND warning_type <> 'asset conflict'"
        )))
        .bind(text_array(file.dags.iter().map(|each| &each.dag.dag_id)));
        self.execute("replace Dag warnings", statement).await?;
        for warning in &file.warnings {
            self.warn_dag(warning, now).await?;
        }
        Ok(())
    }

    pub(crate) async fn warn_dag(
        &mut self,
        warning: &NewDagWarning,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO dag_warning (dag_id, warning_type, message, timestamp)
             SELECT dag_id, $2, $3, $4 FROM dag WHERE dag_id = $1
             ON CONFLICT (dag_id, warning_type) DO UPDATE
                SET message = excluded.message, timestamp = excluded.timestamp",
        )
        .bind(warning.dag_id.as_str())
        .bind(warning.warning_type.as_str())
        .bind(warning.message.as_str())
        .bind(micros(now));
        self.execute("write a Dag warning", statement).await?;
        Ok(())
    }

    async fn note_parse(&mut self, file: &ParsedFile, now: Timestamp) -> Result<(), Error> {
        let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
        let statement = sqlx::query(
            "INSERT INTO dag_file (bundle_name, relative_fileloc, last_finish_time, last_duration,
                 last_num_of_dags, last_num_of_errors, run_count, content_hash)
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7)
             ON CONFLICT (bundle_name, relative_fileloc) DO UPDATE
                SET last_finish_time = excluded.last_finish_time,
                    last_duration = excluded.last_duration,
                    last_num_of_dags = excluded.last_num_of_dags,
                    last_num_of_errors = excluded.last_num_of_errors,
                    run_count = dag_file.run_count + 1,
                    content_hash = excluded.content_hash",
        )
        .bind(file.bundle_name.as_str())
        .bind(file.relative_fileloc.as_str())
        .bind(micros(now))
        .bind(file.duration_secs)
        .bind(count(file.dags.len()))
        .bind(count(file.import_errors.len()))
        .bind(file.content_hash.as_deref());
        self.execute("note a parse", statement).await?;
        Ok(())
    }
}

/// A Dag that is seen again keeps what users set: whether it is paused.
const UPSERT_DAG: &str = "INSERT INTO dag (
         dag_id, dag_display_name, description, is_paused, is_stale, has_import_errors,
         exceeds_max_non_backfill, bundle_name, bundle_version, relative_fileloc, fileloc,
         owners, timetable_summary, timetable_description, timetable_type,
         timetable_partitioned, asset_expression, max_active_tasks, max_active_runs,
         max_consecutive_failed_dag_runs, has_task_concurrency_limits, fail_fast,
         allowed_run_types, next_dagrun, next_dagrun_data_interval_start,
         next_dagrun_data_interval_end, next_dagrun_create_after,
         next_dagrun_partition_key, next_dagrun_partition_date, last_parsed_time,
         last_parse_duration, next_dagrun_run_id)
     VALUES ($1, $2, $3, $4, FALSE, FALSE, FALSE, $5, $6, $7, $8, $9, $10, $11, $12, $13,
             $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)
     ON CONFLICT (dag_id) DO UPDATE
        SET dag_display_name = excluded.dag_display_name,
            description = excluded.description,
            is_stale = FALSE,
            has_import_errors = FALSE,
            bundle_name = excluded.bundle_name,
            bundle_version = excluded.bundle_version,
            relative_fileloc = excluded.relative_fileloc,
            fileloc = excluded.fileloc,
            owners = excluded.owners,
            timetable_summary = excluded.timetable_summary,
            timetable_description = excluded.timetable_description,
            timetable_type = excluded.timetable_type,
            timetable_partitioned = excluded.timetable_partitioned,
            asset_expression = excluded.asset_expression,
            max_active_tasks = excluded.max_active_tasks,
            max_active_runs = excluded.max_active_runs,
            max_consecutive_failed_dag_runs = excluded.max_consecutive_failed_dag_runs,
            has_task_concurrency_limits = excluded.has_task_concurrency_limits,
            fail_fast = excluded.fail_fast,
            allowed_run_types = excluded.allowed_run_types,
            next_dagrun = excluded.next_dagrun,
            next_dagrun_data_interval_start = excluded.next_dagrun_data_interval_start,
            next_dagrun_data_interval_end = excluded.next_dagrun_data_interval_end,
            next_dagrun_create_after = excluded.next_dagrun_create_after,
            next_dagrun_partition_key = excluded.next_dagrun_partition_key,
            next_dagrun_partition_date = excluded.next_dagrun_partition_date,
            next_dagrun_run_id = excluded.next_dagrun_run_id,
            next_dagrun_asked = NULL,
            last_parsed_time = excluded.last_parsed_time,
            last_parse_duration = excluded.last_parse_duration";
