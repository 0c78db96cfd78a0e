//! One Python child: it parses a file or runs callbacks of a file.

use std::time::Duration;

use updraft_execution::{Asker, ChildLog, ChildOrder, ChildRunner, End, LogFile, PythonSide};
use updraft_python::ChildKind;
use updraft_task_comms::frame::encode_frame;
use updraft_task_comms::message::{DagFileParseRequest, DagFileParsingResult, Request};

/// Runs children within the time of a parse.
#[derive(Clone)]
pub(crate) struct Children {
    pub(crate) runner: ChildRunner,
    /// `[dag_processor] dag_file_processor_timeout`.
    pub(crate) timeout: Duration,
    /// The user's Python outside of Dag files.
    pub(crate) python: Option<PythonSide>,
}

/// What became of a child.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: End,
    /// What a parse child found, however it ended afterwards.
    pub(crate) result: Option<DagFileParsingResult>,
    /// It asked for something that no file holds, so the same file may give something else later.
    pub(crate) depends_on_outside: bool,
    pub(crate) duration: Duration,
    /// The last lines it printed or logged.
    pub(crate) last_lines: String,
}

impl Children {
    /// Runs one child to its end.
    pub(crate) async fn run(
        &self,
        request: &DagFileParseRequest,
        environment: Vec<(String, String)>,
        log: LogFile,
    ) -> Finished {
        let first = match encode_frame(0, Some(request), None::<&()>) {
            Ok(first) => first,
            Err(error) => return Finished::not_started(error.to_string()),
        };
        let order = ChildOrder {
            kind: ChildKind::DagParse,
            environment,
            first,
            asker: Asker::dag_file_with(self.python.clone()),
            expects: Some("DagFileParsingResult"),
            limit: Some(self.timeout),
            grace: None,
            secrets: Vec::new(),
            log: ChildLog::File(log),
        };
        let finished = self.runner.run(order).await;
        // A result that cannot be read is none, and the end says that the file gave none.
        let decoded = finished.result.as_ref().map(Request::decode);
        let result = match decoded {
            Some(Ok(Request::DagFileParsingResult(result))) => Some(result),
            Some(Err(error)) => return Finished::unreadable(finished, &error.to_string()),
            _ => None,
        };
        Finished {
            end: finished.end,
            result,
            depends_on_outside: finished.depends_on_outside,
            duration: finished.duration,
            last_lines: finished.last_lines,
        }
    }
}

impl Finished {
    fn not_started(reason: String) -> Self {
        Self {
            end: End::NotStarted(reason),
            result: None,
            depends_on_outside: false,
            duration: Duration::ZERO,
            last_lines: String::new(),
        }
    }

    fn unreadable(finished: updraft_execution::Finished, problem: &str) -> Self {
        Self {
            end: finished.end,
            result: None,
            depends_on_outside: finished.depends_on_outside,
            duration: finished.duration,
            last_lines: format!(
                "{}\nWhat it found cannot be read: {problem}",
                finished.last_lines
            ),
        }
    }
}
