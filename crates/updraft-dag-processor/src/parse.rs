//! One parse of one file: child, content, rows.

use std::path::Path;

use tracing::{error, info, warn};
use updraft_execution::{End, chain};
use updraft_python::ChildStatus;
use updraft_runtime::{Clock, Ids};
use updraft_task_comms::message::DagFileParseRequest;

use crate::child::{Children, Finished};
use crate::content::{Content, Parsing};
use crate::files::Found;
use crate::import_log;

/// What became of a parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseEnd {
    /// What was found is stored.
    Stored(Found),
    /// Nothing is known about the file: no child could be had, or the result could not be stored.
    Postponed,
}

/// Parses a file and stores what it holds.
pub(crate) async fn parse(children: &Children, parsing: Parsing, log_folder: &Path) -> ParseEnd {
    let request = DagFileParseRequest {
        file: parsing.path().display().to_string(),
        bundle_path: parsing.bundle.path.display().to_string(),
        bundle_name: parsing.bundle.name.to_string(),
        callback_requests: Vec::new(),
    };
    let log = import_log::open(log_folder, &parsing.key, Clock::machine().now());
    let mut finished = children.run(&request, Vec::new(), log).await;
    let path = parsing.key.path.clone();
    let content = match (finished.result.take(), &finished.end) {
        (Some(result), _) => {
            let duration = finished.duration;
            let read = move || parsing.read(&result, duration, &Ids::random());
            let mut content = children.runner.tasks.blocking(read).await;
            if let Some(python) = &children.python {
                content.describe_timetables(python.plugins()).await;
            }
            content
        }
        (None, End::NotStarted(reason)) => {
            warn!(path, error = %reason, "postponed a parse");
            return ParseEnd::Postponed;
        }
        (None, End::Stopped) => return ParseEnd::Postponed,
        (None, _) => parsing.failed(failure(&finished), finished.duration),
    };
    store(children, &content, &finished, &path).await
}

async fn store(
    children: &Children,
    content: &Content,
    finished: &Finished,
    path: &str,
) -> ParseEnd {
    match content
        .persist(&children.runner.store, &Clock::machine())
        .await
    {
        Ok(outcome) => {
            let (new, changed) = (outcome.new_dags.len(), outcome.changed_dags.len());
            let vanished = outcome.vanished_dags.len();
            let errors = content.import_errors().len();
            // Silent when nothing happened: files are parsed for ever.
            if new + changed + vanished + errors > 0 {
                info!(
                    path,
                    new,
                    changed,
                    vanished,
                    errors,
                    duration_ms = finished.duration.as_millis(),
                    "parsed a Dag file"
                );
            }
            ParseEnd::Stored(Found {
                depends_on_outside: finished.depends_on_outside,
                held: content.held(),
            })
        }
        Err(error) => {
            let error = chain(&error);
            error!(
                path,
                error, "failed to store a parsed Dag file; it is parsed again"
            );
            ParseEnd::Postponed
        }
    }
}

/// The import error of a file whose child gave no result.
fn failure(finished: &Finished) -> String {
    let mut text = match &finished.end {
        End::TimedOut(limit) => format!(
            "Parsing this file took longer than {} s, and its process was killed. Move slow work \
             from the top level of the file into tasks, or raise `[dag_processor] \
             dag_file_processor_timeout`.",
            limit.as_secs_f64()
        ),
        End::Ended(ChildStatus::Signaled(9)) => {
            "The process that parsed this file was killed with SIGKILL from outside. Most often \
             the system had run out of memory."
                .to_owned()
        }
        End::Ended(ChildStatus::Signaled(signal)) => {
            let name = nix::sys::signal::Signal::try_from(*signal)
                .map_or("a real-time signal", nix::sys::signal::Signal::as_str);
            format!("The process that parsed this file was ended by signal {signal} ({name}).")
        }
        End::Ended(ChildStatus::Exited(code)) => format!(
            "The process that parsed this file exited with code {code} before it had found out \
             what the file holds. Does the file end the process itself?"
        ),
        End::Ended(ChildStatus::Unknown) => {
            "The process that parsed this file is gone, and how it ended is not known.".to_owned()
        }
        End::Garbled(bad) => format!(
            "The process that parsed this file was killed, because it sent data that is no \
             message ({bad}). Does the file write to descriptors it did not open?"
        ),
        End::NotStarted(reason) => format!("This file could not be parsed: {reason}."),
        End::Stopped => "Parsing this file was interrupted.".to_owned(),
    };
    if !finished.last_lines.is_empty() {
        text.push_str("\n\nThe last lines it wrote:\n");
        text.push_str(&finished.last_lines);
    }
    text
}
