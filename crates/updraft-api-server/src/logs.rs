//! Task logs: the file of one try, as JSON or line by line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use futures_util::stream;
use serde_json::{Map, Value, json};
use updraft_model::task_instance::{TaskInstance, TaskInstanceKey};
use updraft_model::{MapIndex, TaskInstanceState};
use updraft_rest_api::log::{
    TaskInstancesLogResponse, event, message_of, ndjson_line, source_lines,
};

use crate::call::{Answer, Call, bytes_answer, ok};
use crate::error::ApiError;
use crate::state::ApiState;
use crate::task_instances::load_tries;

/// Tells a client of the line format where to go on.
const CONTINUATION: HeaderName = HeaderName::from_static("airflow-continuation-token");

/// A JSON answer holds at most this much of a log; the token leads on.
const JSON_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A stream reads this much at a time.
const CHUNK_BYTES: u64 = 256 * 1024;

/// `GET …/logs/{try_number}`.
pub(crate) async fn get(call: Call) -> Answer {
    let request = LogRequest::read(&call)?;
    let kind = call.accepted(&["application/json", "application/x-ndjson"]);
    let kind = kind.ok_or_else(|| {
        ApiError::not_acceptable("Only application/json or application/x-ndjson is supported")
    })?;
    let ti = find_try(&call, &request).await?;
    let path = log_path(&call.state, &ti)?;
    let as_lines = kind == "application/x-ndjson";
    // A stream may be of any length; what is built in memory may not, whatever was asked for.
    let byte_limit = if as_lines { u64::MAX } else { JSON_BYTES_MAX };
    let is_over = !is_under_way(ti.state);
    let extent = Extent::find(
        &call.state,
        path.clone(),
        request.offset,
        byte_limit,
        is_over,
    )
    .await;
    let token = extent.rest.map(|offset| {
        let position = json!({"end_of_log": false, "log_pos": offset});
        call.state.signer().sign(&position)
    });
    if as_lines {
        return Ok(line_answer(&call.state, path, &extent, token));
    }
    let mut content = extent.introduction(&path);
    let state = call.state.clone();
    content.extend(read_messages(&state, path, extent.start, extent.end).await);
    ok(&TaskInstancesLogResponse {
        content: content.into_iter().map(Value::Object).collect(),
        continuation_token: token,
    })
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
    offset: u64,
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
        let offset = match token {
            None => 0,
            Some(token) => offset_of(&call.state, &token)?,
        };
        Ok(Self {
            try_number,
            map_index: MapIndex(i32::try_from(map_index).unwrap_or(i32::MAX)),
            offset,
        })
    }
}

fn offset_of(state: &ApiState, token: &str) -> Result<u64, ApiError> {
    let position = state.signer().read(token);
    let offset = position.and_then(|position| position.get("log_pos")?.as_u64());
    offset.ok_or_else(|| {
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
        TaskInstanceState::Queued
            | TaskInstanceState::Running
            | TaskInstanceState::Restarting
            | TaskInstanceState::Deferred
            | TaskInstanceState::UpForReschedule
            | TaskInstanceState::AwaitingInput
    )
}

/// The file of a try; ids that would lead out of the log folder lead nowhere.
fn log_path(state: &ApiState, ti: &TaskInstance) -> Result<PathBuf, ApiError> {
    let key = TaskInstanceKey {
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        try_number: ti.try_number,
    };
    let relative = key.log_path();
    let stays_inside = Path::new(&relative)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside {
        return Err(ApiError::bad_request(format!(
            "The log of this task instance would be outside of the log folder: {relative}"
        )));
    }
    Ok(state.settings().logging.base_log_folder.join(relative))
}

/// Which part of a file is answered.
struct Extent {
    exists: bool,
    start: u64,
    end: u64,
    /// Where the next answer begins; `None` at the end of a log that is complete.
    rest: Option<u64>,
}

impl Extent {
    async fn find(
        state: &ApiState,
        path: PathBuf,
        start: u64,
        byte_limit: u64,
        is_over: bool,
    ) -> Self {
        let found = state
            .tasks()
            .blocking(move || find_end(&path, start, byte_limit, is_over))
            .await;
        let (exists, end, is_cut) = match found {
            Ok((end, is_cut)) => (true, end, is_cut),
            // A try that is only queued has no file yet.
            Err(_) => (false, start, false),
        };
        Self {
            exists,
            start,
            end,
            rest: (is_cut || !is_over).then_some(end),
        }
    }

    /// What stands in front of the lines of the file.
    fn introduction(&self, path: &Path) -> Vec<Map<String, Value>> {
        if self.start > 0 {
            return Vec::new();
        }
        let place = path.display().to_string();
        if self.exists {
            return source_lines(&[place]);
        }
        let mut lines = source_lines(&[]);
        lines.push(event(&format!(
            "The log file {place} does not exist (yet)."
        )));
        lines
    }
}

/// The end of what can be answered: whole lines only, unless nothing will follow. Says as well
/// whether the limit cut it.
fn find_end(
    path: &Path,
    start: u64,
    byte_limit: u64,
    is_over: bool,
) -> std::io::Result<(u64, bool)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let wanted = start.saturating_add(byte_limit);
    let is_cut = wanted < size;
    let end = wanted.min(size).max(start);
    if is_over && !is_cut {
        return Ok((end, false));
    }
    let tail = end.saturating_sub(CHUNK_BYTES).max(start);
    let bytes = read_part(&mut file, tail, end)?;
    let newline = bytes.iter().rposition(|byte| *byte == b'\n');
    // A line longer than a chunk is given in pieces rather than never.
    let end = match newline {
        Some(at) => tail + u64::try_from(at).unwrap_or(0) + 1,
        None if end - start >= CHUNK_BYTES => end,
        None => start,
    };
    Ok((end, is_cut))
}

fn read_part(file: &mut File, start: u64, end: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn read_messages(
    state: &ApiState,
    path: PathBuf,
    start: u64,
    end: u64,
) -> Vec<Map<String, Value>> {
    let read =
        move || -> std::io::Result<Vec<u8>> { read_part(&mut File::open(path)?, start, end) };
    let bytes = state.tasks().blocking(read).await.unwrap_or_default();
    messages(&bytes)
}

fn messages(bytes: &[u8]) -> Vec<Map<String, Value>> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(message_of).collect()
}

/// A stream of lines that reads the file as fast as the client takes it.
fn line_answer(
    state: &ApiState,
    path: PathBuf,
    extent: &Extent,
    token: Option<String>,
) -> axum::response::Response {
    let introduction: String = extent.introduction(&path).iter().map(ndjson_line).collect();
    let reading = Reading {
        state: state.clone(),
        path,
        at: extent.start,
        end: extent.end,
        introduction: Some(introduction),
        part: Vec::new(),
    };
    let chunks = stream::unfold(reading, |reading| reading.next());
    let body = Body::from_stream(chunks);
    let mut response = bytes_answer(StatusCode::OK, body, "application/x-ndjson");
    if let Some(token) = token.and_then(|token| HeaderValue::try_from(token).ok()) {
        response.headers_mut().insert(CONTINUATION, token);
    }
    response
}

struct Reading {
    state: ApiState,
    path: PathBuf,
    at: u64,
    end: u64,
    introduction: Option<String>,
    /// The beginning of a line whose end is in the next chunk.
    part: Vec<u8>,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<String, std::io::Error>, Self)> {
        if let Some(introduction) = self.introduction.take() {
            return Some((Ok(introduction), self));
        }
        if self.at >= self.end {
            return None;
        }
        let (path, start) = (self.path.clone(), self.at);
        let end = self.end.min(start + CHUNK_BYTES);
        let read = move || read_part(&mut File::open(path)?, start, end);
        let bytes = match self.state.tasks().blocking(read).await {
            Ok(bytes) => bytes,
            Err(error) => {
                self.at = self.end;
                return Some((Err(error), self));
            }
        };
        self.at = end;
        self.part.extend(bytes);
        let whole = match self.part.iter().rposition(|byte| *byte == b'\n') {
            _ if self.at >= self.end => self.part.len(),
            Some(newline) => newline + 1,
            None => 0,
        };
        let rest = self.part.split_off(whole);
        let lines = std::mem::replace(&mut self.part, rest);
        let text: String = messages(&lines).iter().map(ndjson_line).collect();
        Some((Ok(text), self))
    }
}
