//! Task logs: the files of one try, as JSON or line by line.

mod files;
mod merge;

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use futures_util::stream;
use serde_json::{Map, Value, json};
use updraft_execution::LogDates;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{MapIndex, TaskInstanceState};
use updraft_rest_api::log::{
    TaskInstancesLogResponse, event, message_of, ndjson_line, source_lines,
};

use crate::call::{Answer, Call, bytes_answer, ok};
use crate::error::ApiError;
use crate::state::ApiState;
use crate::task_instances::load_tries;
use files::{CHUNK_BYTES, Offsets, Part, find_parts, name_of};
use merge::Merge;

/// Tells a client of the line format where to go on.
const CONTINUATION: HeaderName = HeaderName::from_static("airflow-continuation-token");

/// A JSON answer holds at most this much of a log; the token leads on.
const JSON_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// `GET …/logs/{try_number}`.
pub(crate) async fn get(call: Call) -> Answer {
    let request = LogRequest::read(&call)?;
    let kind = call.accepted(&["application/json", "application/x-ndjson"]);
    let kind = kind.ok_or_else(|| {
        ApiError::not_acceptable("Only application/json or application/x-ndjson is supported")
    })?;
    let ti = find_try(&call, &request).await?;
    let path = log_path(&call, &ti).await?;
    let is_over = !is_under_way(ti.state);
    let log = Log::open(&call.state, path, request.offsets, is_over).await;
    if kind == "application/x-ndjson" {
        return Ok(log.into_lines());
    }
    log.into_json().await
}

/// `GET …/externalLogUrl/{try_number}`.
pub(crate) async fn external_url(_call: Call) -> Answer {
    Err(ApiError::bad_request(
        "Task log handler does not support external logs.",
    ))
}

struct LogRequest {
    try_number: i64,
    map_index: MapIndex,
    /// Where the last answer ended.
    offsets: Offsets,
}

impl LogRequest {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let try_number = call.path_number_from("try_number", 0)?;
        let mut query = call.query();
        let map_index = query.integer("map_index").unwrap_or(-1);
        // Everything there is comes at once anyway; only a wrong value matters.
        query.boolean("full_content");
        let token = query.text("token").filter(|token| !token.is_empty());
        query.finish()?;
        let offsets = match token {
            None => Offsets::new(),
            Some(token) => offsets_of(&call.state, &token)?,
        };
        Ok(Self {
            try_number,
            map_index: MapIndex(i32::try_from(map_index).unwrap_or(i32::MAX)),
            offsets,
        })
    }
}

fn offsets_of(state: &ApiState, token: &str) -> Result<Offsets, ApiError> {
    let position = state.signer().read(token);
    let offsets = position
        .and_then(|mut position| serde_json::from_value(position.get_mut("log_pos")?.take()).ok());
    offsets.ok_or_else(|| {
        ApiError::bad_request("Bad Signature. Please use only the tokens provided by the API.")
    })
}

async fn find_try(call: &Call, request: &LogRequest) -> Result<TaskInstance, ApiError> {
    let mut reader = call.reader().await?;
    let tries = load_tries(call, &mut reader, request.map_index).await?;
    tries
        .into_iter()
        .rev()
        .find(|ti| i64::from(ti.try_number) == request.try_number)
        .ok_or_else(|| ApiError::not_found("TaskInstance not found"))
}

/// Whether more lines may come.
fn is_under_way(state: TaskInstanceState) -> bool {
    matches!(
        state,
        // A deferred try is scheduled and queued again.
        TaskInstanceState::Scheduled
            | TaskInstanceState::Queued
            | TaskInstanceState::Running
            | TaskInstanceState::Restarting
            | TaskInstanceState::Deferred
            | TaskInstanceState::UpForReschedule
            | TaskInstanceState::AwaitingInput
    )
}

/// The file of a try; ids that would lead out of the log folder lead nowhere.
///
/// A log that was written before the template was set still has the default name.
async fn log_path(call: &Call, ti: &TaskInstance) -> Result<PathBuf, ApiError> {
    let settings = call.state.settings();
    let by_default = ti.key().log_path();
    let relative = match settings.log_names.is_default() {
        true => by_default.clone(),
        false => templated_name(call, ti).await?,
    };
    let stays_inside = Path::new(&relative)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside {
        return Err(ApiError::bad_request(format!(
            "The log of this task instance would be outside of the log folder: {relative}"
        )));
    }
    let folder = settings.logging.base_log_folder.clone();
    let path = folder.join(&relative);
    if relative == by_default {
        return Ok(path);
    }
    let tasks = call.state.tasks();
    let chosen = tasks.blocking(move || {
        let old = folder.join(by_default);
        if !path.exists() && old.exists() {
            return old;
        }
        path
    });
    Ok(chosen.await)
}

/// What `[logging] log_filename_template` says.
async fn templated_name(call: &Call, ti: &TaskInstance) -> Result<String, ApiError> {
    let mut reader = call.reader().await?;
    let run = reader.find_dag_run(&ti.dag_id, &ti.run_id).await?;
    // The try was there a moment ago, and goes only with its run.
    let run = run.ok_or_else(|| ApiError::not_found("TaskInstance not found"))?;
    let names = &call.state.settings().log_names;
    Ok(names.path(ti, &LogDates::from(&run)))
}

/// The log of one try, from where the last answer ended.
struct Log {
    state: ApiState,
    /// The worker's file.
    path: PathBuf,
    parts: Vec<Part>,
    is_first_answer: bool,
    is_over: bool,
}

impl Log {
    async fn open(state: &ApiState, path: PathBuf, offsets: Offsets, is_over: bool) -> Self {
        let is_first_answer = offsets.is_empty();
        let main = path.clone();
        let find = move || find_parts(&main, &offsets, is_over);
        Self {
            parts: state.tasks().blocking(find).await,
            state: state.clone(),
            path,
            is_first_answer,
            is_over,
        }
    }

    /// What stands in front of the lines of the files.
    fn introduction(&self) -> Vec<Map<String, Value>> {
        if !self.is_first_answer {
            return Vec::new();
        }
        let places: Vec<String> = self
            .parts
            .iter()
            .map(|part| part.path.display().to_string())
            .collect();
        let mut lines = source_lines(&places);
        if places.is_empty() {
            // A try that is only queued has no file yet.
            let place = self.path.display();
            lines.push(event(&format!(
                "The log file {place} does not exist (yet)."
            )));
        }
        lines
    }

    /// Leads on to what follows these positions.
    fn token(&self, mut offsets: Offsets) -> String {
        // Without a file the next answer is the first one as well.
        if self.parts.is_empty() && !self.is_first_answer {
            offsets.insert(name_of(&self.path), 0);
        }
        let position = json!({"end_of_log": false, "log_pos": offsets});
        self.state.signer().sign(&position)
    }

    async fn into_json(self) -> Answer {
        let mut content = self.introduction();
        let mut merge = Merge::new(self.parts.clone());
        let read = move || {
            let lines = merge.next(JSON_BYTES_MAX);
            (lines, merge)
        };
        let (lines, merge) = self.state.tasks().blocking(read).await;
        // A file that cannot be read any more has nothing to say.
        let lines = lines.unwrap_or_default();
        content.extend(lines.iter().map(|line| message_of(line)));
        let has_more = !self.is_over || !merge.is_done();
        ok(&TaskInstancesLogResponse {
            content: content.into_iter().map(Value::Object).collect(),
            continuation_token: has_more.then(|| self.token(merge.offsets())),
        })
    }

    /// A stream of lines that reads the files as fast as the client takes it.
    fn into_lines(self) -> axum::response::Response {
        let ends = self
            .parts
            .iter()
            .map(|part| (name_of(&part.path), part.end));
        let token = (!self.is_over).then(|| self.token(ends.collect()));
        let introduction: String = self.introduction().iter().map(ndjson_line).collect();
        let reading = Reading {
            introduction: Some(introduction),
            merge: Some(Merge::new(self.parts)),
            state: self.state,
        };
        let chunks = stream::unfold(reading, |reading| reading.next());
        let body = Body::from_stream(chunks);
        let mut response = bytes_answer(StatusCode::OK, body, "application/x-ndjson");
        if let Some(token) = token.and_then(|token| HeaderValue::try_from(token).ok()) {
            response.headers_mut().insert(CONTINUATION, token);
        }
        response
    }
}

struct Reading {
    state: ApiState,
    introduction: Option<String>,
    /// `None` at the end.
    merge: Option<Merge>,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<String, std::io::Error>, Self)> {
        if let Some(introduction) = self.introduction.take() {
            return Some((Ok(introduction), self));
        }
        let mut merge = self.merge.take()?;
        let read = move || {
            let lines = merge.next(CHUNK_BYTES);
            (lines, merge)
        };
        match self.state.tasks().blocking(read).await {
            (Ok(lines), _) if lines.is_empty() => None,
            (Ok(lines), merge) => {
                self.merge = Some(merge);
                let lines = lines.iter().map(|line| ndjson_line(&message_of(line)));
                Some((Ok(lines.collect()), self))
            }
            (Err(error), _) => Some((Err(error), self)),
        }
    }
}
