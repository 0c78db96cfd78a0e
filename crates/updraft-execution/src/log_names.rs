//! Where the log of a try is below `[logging] base_log_folder`: `[logging] log_filename_template`.
//!
//! Who writes a log and who reads it ask the same template about the same row, so they find the
//! same file.

mod braces;
mod jinja;

use std::path::{Component, Path};
use std::sync::Arc;

use jiff::Timestamp;
use tracing::warn;
use updraft_model::dag_run::DagRun;
use updraft_model::task_instance::{TaskInstance, TaskInstanceKey};

use braces::Braces;
use jinja::Jinja;

/// What the template says in a fresh `airflow.cfg`.
const DEFAULT: &str = "dag_id={{ ti.dag_id }}/run_id={{ ti.run_id }}/task_id={{ ti.task_id }}/\
    {% if ti.map_index >= 0 %}map_index={{ ti.map_index }}/{% endif %}\
    attempt={{ try_number|default(ti.try_number) }}.log";

/// Names log files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogNames(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// The layout that everybody has: made without a template, for it is needed for every try.
    Default,
    Jinja(Jinja),
    Braces(Braces),
}

/// What a template may say about the run of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogDates {
    pub logical_date: Option<Timestamp>,
    pub run_after: Timestamp,
    pub data_interval: Option<(Timestamp, Timestamp)>,
}

/// A template that names no file.
#[derive(Debug, thiserror::Error)]
#[error("[logging] log_filename_template: {reason}, in `{template}`")]
pub struct BadLogTemplate {
    template: String,
    reason: String,
}

impl LogNames {
    /// Reads `log_filename_template`: Jinja if there is a `{{` in it, else text with names in
    /// braces, as in Airflow.
    ///
    /// # Errors
    /// When it cannot be read, or says nothing that can be a file below the log folder.
    pub fn parse(template: &str) -> Result<Self, BadLogTemplate> {
        if template == DEFAULT {
            return Ok(Self::default());
        }
        let kind = if template.contains("{{") {
            Jinja::parse(template).map(Kind::Jinja)
        } else {
            Braces::parse(template).map(Kind::Braces)
        };
        kind.and_then(|kind| {
            // Whatever is wrong with it for every try is said at the start.
            kind.path(&sample(), &LogDates::SAMPLE)?;
            Ok(Self(Arc::new(kind)))
        })
        .map_err(|reason| BadLogTemplate {
            template: template.to_owned(),
            reason,
        })
    }

    /// Whether the template is the one that a fresh installation has, which needs no dates.
    #[must_use]
    pub fn is_default(&self) -> bool {
        matches!(*self.0, Kind::Default)
    }

    /// The log file of a try. Where the template says nothing useful about this try, it is the one
    /// of the default layout: the task is worth more than the name of its log.
    #[must_use]
    pub fn path(&self, ti: &TaskInstance, dates: &LogDates) -> String {
        let subject = Subject::of(ti);
        self.0.path(&subject, dates).unwrap_or_else(|reason| {
            let key = &subject.key;
            warn!(?key, %reason, "[logging] log_filename_template names no file for a try; its log gets the default name");
            key.log_path()
        })
    }
}

impl Default for LogNames {
    fn default() -> Self {
        Self(Arc::new(Kind::Default))
    }
}

impl Kind {
    fn path(&self, subject: &Subject, dates: &LogDates) -> Result<String, String> {
        let path = match self {
            Self::Default => return Ok(subject.key.log_path()),
            Self::Jinja(template) => template.render(subject, dates)?,
            Self::Braces(template) => template.render(subject, dates),
        };
        match is_file_below(&path) {
            true => Ok(path),
            false => Err(format!(
                "expected the name of a file below the log folder, found `{path}`"
            )),
        }
    }
}

impl LogDates {
    const SAMPLE: Self = Self {
        logical_date: Some(Timestamp::UNIX_EPOCH),
        run_after: Timestamp::UNIX_EPOCH,
        data_interval: Some((Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)),
    };

    /// What stands for the run in a text: Quirk, its logical date or, without one, the time after
    /// which it runs.
    fn date(&self) -> Timestamp {
        self.logical_date.unwrap_or(self.run_after)
    }
}

impl From<&DagRun> for LogDates {
    fn from(run: &DagRun) -> Self {
        Self {
            logical_date: run.logical_date,
            run_after: run.run_after,
            data_interval: run.data_interval_start.zip(run.data_interval_end),
        }
    }
}

/// What a template may say about a try. Nothing that changes while it runs.
#[derive(Clone, Debug)]
struct Subject {
    key: TaskInstanceKey,
    pool: String,
    queue: String,
    operator: String,
}

impl Subject {
    fn of(ti: &TaskInstance) -> Self {
        Self {
            key: ti.key(),
            pool: ti.pool.to_string(),
            queue: ti.queue.clone(),
            operator: ti.operator.clone(),
        }
    }
}

fn sample() -> Subject {
    Subject {
        key: TaskInstanceKey {
            dag_id: "dag".into(),
            run_id: "run".into(),
            task_id: "task".into(),
            map_index: updraft_model::MapIndex::UNMAPPED,
            try_number: 1,
        },
        pool: "default_pool".to_owned(),
        queue: "default".to_owned(),
        operator: "PythonOperator".to_owned(),
    }
}

/// Ids that would lead out of the log folder lead nowhere.
fn is_file_below(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some()
        && !path.ends_with('/')
        && !path.contains('\0')
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests;
