//! Waits for a run to end, and tells its state line by line until then.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;
use updraft_model::dag_run::DagRun;
use updraft_model::python_repr::dumps;
use updraft_model::xcom::XCom;
use updraft_model::{DagRunState, MapIndex, TaskId};
use updraft_rest_api::value;
use updraft_store::{Change, Error, Reader, RunKey};

use crate::call::{Answer, Call, bytes_answer};
use crate::dag_runs::require_run;
use crate::state::ApiState;

/// Shorter pauses would only keep the database busy: the end of the run is told at once anyway.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Longer pauses are as good as none.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// `GET …/dagRuns/{dag_run_id}/wait`: one line of JSON at once, one after each interval, and the
/// last one, with the results, as soon as the run has ended.
pub(crate) async fn wait(call: Call) -> Answer {
    let mut query = call.query();
    let interval = query.required("interval", value::number_above(0.0));
    let results = query.texts("result");
    query.finish()?;
    let interval = Duration::try_from_secs_f64(interval.unwrap_or_default());
    let key = call.run_key();
    // Listen before looking, so that nothing falls between.
    let changes = call.state.store().changes().subscribe();
    require_run(&mut call.reader().await?, &key).await?;
    let waiter = Waiter {
        shutdown: call.state.tasks().shutdown(),
        state: call.state,
        key,
        interval: interval
            .unwrap_or(INTERVAL_MAX)
            .clamp(INTERVAL_MIN, INTERVAL_MAX),
        results: (!results.is_empty()).then(|| results.into_iter().map(Into::into).collect()),
        changes,
        progress: Progress::Begins,
    };
    let lines = stream::unfold(waiter, |mut waiter| async {
        let line = waiter.next_line().await?;
        Some((line, waiter))
    });
    let body = Body::from_stream(lines);
    Ok(bytes_answer(StatusCode::OK, body, "application/x-ndjson"))
}

enum Progress {
    Begins,
    Waits,
    Over,
}

struct Waiter {
    state: ApiState,
    key: RunKey,
    interval: Duration,
    /// Tasks whose results are wanted; `None` for those that the Dag names.
    results: Option<Vec<TaskId>>,
    changes: Receiver<Change>,
    shutdown: CancellationToken,
    progress: Progress,
}

impl Waiter {
    /// `None` at the end. A failure ends the stream in the middle, so that no client takes it for
    /// the whole.
    async fn next_line(&mut self) -> Option<Result<Bytes, Error>> {
        match self.progress {
            Progress::Over => return None,
            Progress::Begins => self.progress = Progress::Waits,
            Progress::Waits => self.pause().await?,
        }
        let line = self.line().await;
        if line.is_err() {
            self.progress = Progress::Over;
        }
        line.transpose()
    }

    /// Waits until it is time for a line, or the run has ended; `None` when the server stops.
    async fn pause(&mut self) -> Option<()> {
        let interval = self.state.clock().sleep(self.interval);
        let mut interval = std::pin::pin!(interval);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = &mut interval => return Some(()),
                change = self.changes.recv() => {
                    let concerns_us = match change {
                        Ok(Change::DagRun { dag_id, run_id }) => {
                            dag_id == self.key.dag_id && run_id == self.key.run_id
                        }
                        Ok(Change::Everything) | Err(_) => true,
                        Ok(_) => false,
                    };
                    if concerns_us && self.has_ended().await {
                        return Some(());
                    }
                }
            }
        }
    }

    /// A store that cannot be asked now is asked again when the line is written.
    async fn has_ended(&self) -> bool {
        match self.state.store().read().await {
            Ok(mut reader) => find(&mut reader, &self.key)
                .await
                .is_ok_and(|run| run.is_none_or(|run| run.state.is_finished())),
            Err(_) => false,
        }
    }

    /// `None`: the run was deleted.
    async fn line(&mut self) -> Result<Option<Bytes>, Error> {
        let mut reader = self.state.store().read().await?;
        let Some(run) = find(&mut reader, &self.key).await? else {
            self.progress = Progress::Over;
            return Ok(None);
        };
        if !run.state.is_finished() {
            let line = json!({"state": run.state});
            return Ok(Some(format!("{}\n", dumps(&line)).into()));
        }
        self.progress = Progress::Over;
        let results = self.results.as_deref();
        let results = reader
            .load_results(&self.key.dag_id, &self.key.run_id, results)
            .await?;
        Ok(Some(last_line(run.state, &results).into()))
    }
}

async fn find(reader: &mut Reader, key: &RunKey) -> Result<Option<DagRun>, Error> {
    reader.find_dag_run(&key.dag_id, &key.run_id).await
}

/// The last line. Values are written as their tasks left them: Python knows numbers that JSON does
/// not.
fn last_line(state: DagRunState, results: &[XCom]) -> String {
    let state = dumps(&json!(state));
    if results.is_empty() {
        return format!("{{\"state\": {state}}}\n");
    }
    let tasks = results.chunk_by(|one, next| one.task_id == next.task_id);
    let tasks: Vec<String> = tasks
        .map(|values| {
            let task_id = dumps(&json!(values[0].task_id));
            match values {
                [xcom] if xcom.map_index == MapIndex::UNMAPPED => {
                    format!("{task_id}: {}", xcom.value)
                }
                mapped => {
                    let mapped: Vec<&str> = mapped.iter().map(|xcom| &*xcom.value).collect();
                    format!("{task_id}: [{}]", mapped.join(", "))
                }
            }
        })
        .collect();
    let tasks = tasks.join(", ");
    format!("{{\"state\": {state}, \"results\": {{{tasks}}}}}\n")
}
