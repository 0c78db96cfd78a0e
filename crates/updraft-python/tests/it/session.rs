//! The least of a supervisor: answers every request with nothing, as most requests want it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rmpv::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use updraft_python::{ChildHandle, ExitReport};

/// How long any one step of a test may take.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Everything a child said until it ended.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) requests: Vec<Value>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) logs: String,
    pub(crate) exit: ExitReport,
}

impl Session {
    /// The first request of the given type.
    pub(crate) fn request(&self, kind: &str) -> Result<&Value> {
        self.requests
            .iter()
            .find(|body| body["type"].as_str() == Some(kind))
            .with_context(|| format!("expected a `{kind}`, found {self:#?}"))
    }
}

/// Sends the first frame and answers until the child has ended and closed everything.
pub(crate) async fn run(child: ChildHandle, first: Value) -> Result<Session> {
    tokio::time::timeout(LONG, run_unbounded(child, first))
        .await
        .context("the child did not end")?
}

async fn run_unbounded(mut child: ChildHandle, first: Value) -> Result<Session> {
    let requests = async {
        write_frame(&mut child.requests, &Value::Array(vec![0.into(), first])).await?;
        let mut bodies = Vec::new();
        while let Some(frame) = read_frame(&mut child.requests).await? {
            let Value::Array(mut parts) = frame else {
                bail!("expected an array, found {frame}");
            };
            let id = parts.remove(0);
            bodies.push(parts.remove(0));
            write_frame(&mut child.requests, &Value::Array(vec![id])).await?;
        }
        Ok(bodies)
    };
    let (requests, stdout, stderr, logs, exit) = tokio::join!(
        requests,
        read_text(child.stdout),
        read_text(child.stderr),
        read_text(child.logs),
        child.exit.wait(),
    );
    Ok(Session {
        requests: requests?,
        stdout: stdout?,
        stderr: stderr?,
        logs: logs?,
        exit,
    })
}

pub(crate) async fn write_frame(stream: &mut UnixStream, frame: &Value) -> Result<()> {
    let bytes = encode(frame)?;
    match stream.write_all(&bytes).await {
        // A child may die without reading what it asked for.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

pub(crate) fn encode(frame: &Value) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    rmpv::encode::write_value(&mut body, frame)?;
    let mut bytes = u32::try_from(body.len())?.to_be_bytes().to_vec();
    bytes.extend(body);
    Ok(bytes)
}

/// The next frame, or nothing when the child has closed its end.
pub(crate) async fn read_frame(stream: &mut UnixStream) -> Result<Option<Value>> {
    let mut prefix = [0; 4];
    match stream.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(error) if is_end(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(prefix))?];
    stream.read_exact(&mut body).await?;
    Ok(Some(rmpv::decode::read_value(&mut body.as_slice())?))
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
    )
}

async fn read_text(mut stream: UnixStream) -> Result<String> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        Err(error) if !is_end(&error) => Err(error.into()),
        Ok(_) | Err(_) => Ok(String::from_utf8(bytes)?),
    }
}

/// First frame of a task child.
pub(crate) fn startup_details(task_id: &str) -> Value {
    let id = "01993ee0-0000-7000-8000-000000000001";
    let then = "2025-01-02T03:04:05Z";
    json(&format!(
        r#"{{"type": "StartupDetails", "dag_rel_path": "behaviours.py",
            "bundle_info": {{"name": "dags-folder", "version": null}},
            "start_date": "{then}", "sentry_integration": "",
            "ti": {{"id": "{id}", "task_id": "{task_id}", "dag_id": "behaviours", "run_id": "r",
                    "try_number": 1, "dag_version_id": "{id}", "map_index": -1}},
            "ti_context": {{"max_tries": 0, "should_retry": false, "dag_run": {{
                "dag_id": "behaviours", "run_id": "r", "logical_date": "{then}",
                "data_interval_start": "{then}", "data_interval_end": "{then}",
                "run_after": "{then}", "start_date": "{then}", "end_date": null,
                "run_type": "manual", "state": "running", "conf": {{}},
                "consumed_asset_events": [], "partition_key": null}}}}}}"#
    ))
}

/// First frame of a parse child.
pub(crate) fn parse_request(dags: &Path, file: &str) -> Value {
    let dags = dags.display();
    json(&format!(
        r#"{{"type": "DagFileParseRequest", "file": "{dags}/{file}", "bundle_path": "{dags}",
            "bundle_name": "dags-folder", "callback_requests": []}}"#
    ))
}

pub(crate) fn json(text: &str) -> Value {
    let value: serde_json::Value = serde_json::from_str(text).expect("the test's JSON is valid");
    from_json(value)
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => flag.into(),
        serde_json::Value::Number(number) => number.as_i64().map_or_else(
            || Value::F64(number.as_f64().unwrap_or(f64::NAN)),
            Into::into,
        ),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => items.into_iter().map(from_json).collect(),
        serde_json::Value::Object(map) => Value::Map(
            map.into_iter()
                .map(|(k, v)| (k.into(), from_json(v)))
                .collect(),
        ),
    }
}
