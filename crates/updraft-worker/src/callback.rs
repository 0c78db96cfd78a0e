//! Runs a callback: a function that somebody named because something happened, at present that a
//! deadline passed.
//!
//! Source: runtime protocols §6.1.

use std::path::PathBuf;
use std::time::Duration;

use tracing::{info, warn};
use updraft_bundles::Opened;
use updraft_execution::{Asker, ChildLog, ChildOrder, End, Finished, LogFile};
use updraft_model::callback::CallbackState;
use updraft_model::workload::CallbackWorkload;
use updraft_python::{ChildKind, ChildStatus};
use updraft_store::{CallbackReport, Error};
use updraft_task_comms::frame::encode_frame;
use updraft_task_comms::json::Json;
use updraft_task_comms::log_line::{Level, own_line};
use updraft_task_comms::masker::SecretsMasker;
use updraft_task_comms::message::{BundleInfo, ExecuteCallback, ExecutorOrder};

use crate::rows::Outcome;
use crate::worker::Worker;

/// Between SIGTERM and SIGKILL when a callback takes too long, as in Airflow.
const GRACE: Duration = Duration::from_secs(5);

/// The exit code of a child whose callback raised.
const RAISED: i32 = 1;

/// What becomes of the row.
enum Verdict {
    Success,
    /// Why, and whether the log says so already.
    Failed {
        why: String,
        is_logged: bool,
    },
    /// It did not run for reasons of ours.
    Release,
}

impl Worker {
    /// Runs one callback to its end.
    pub(crate) async fn run_callback(&self, workload: &CallbackWorkload) -> Outcome {
        let id = workload.callback_id;
        let shared = &self.shared;
        let started = shared
            .store
            .retry(|| async {
                let mut tx = shared.store.write().await?;
                let started = tx.start_callback(id, shared.clock.now()).await?;
                tx.commit().await?;
                Ok(started)
            })
            .await;
        match started {
            Ok(true) => {}
            Ok(false) => return Outcome::Refused,
            Err(error) => return Outcome::Unsettled(error.to_string()),
        }
        let finished = self.call(workload).await;
        let verdict = verdict_of(&finished);
        self.report_callback(workload, &verdict, &finished);
        match self.settle_callback(workload, verdict).await {
            Ok(()) => Outcome::Settled,
            Err(error) => Outcome::Unsettled(error.to_string()),
        }
    }

    async fn call(&self, workload: &CallbackWorkload) -> Finished {
        let stop = &self.shared.stop_others;
        let version = workload.bundle_version.as_deref();
        // Held until the child has ended, so that the files stay.
        match self.bundle(&workload.bundle_name, version, stop).await {
            Ok(bundle) => self.run_child(|| self.order_of(workload, &bundle)).await,
            Err(_) if stop.is_cancelled() => Finished {
                end: End::Stopped,
                ..Finished::not_started(String::new())
            },
            Err(why) => Finished::not_started(why),
        }
    }

    fn order_of(&self, workload: &CallbackWorkload, bundle: &Opened) -> Result<ChildOrder, String> {
        let order = ExecutorOrder::ExecuteCallback(ExecuteCallback {
            callback_path: workload.path.clone(),
            callback_kwargs: workload.kwargs.clone(),
            dag_rel_path: workload.dag_rel_path.clone(),
            bundle_info: BundleInfo {
                name: workload.bundle_name.to_string(),
                version: workload.bundle_version.clone(),
            },
        });
        let first = encode_frame(0, Some(&order), None::<&()>).map_err(|bad| bad.to_string())?;
        Ok(ChildOrder {
            kind: ChildKind::Callback,
            environment: bundle.environment.clone(),
            first,
            asker: Asker::Callback(self.shared.options.answers.python.clone()),
            expects: None,
            limit: self.shared.options.callback_timeout,
            grace: Some(GRACE),
            secrets: Vec::new(),
            log: ChildLog::File(LogFile::new(self.log_path(workload))),
        })
    }

    fn log_path(&self, workload: &CallbackWorkload) -> PathBuf {
        self.shared.options.log_folder.join(&workload.log_path)
    }

    /// Tells the operator, and the log of a callback whose end its own process could not log.
    fn report_callback(&self, workload: &CallbackWorkload, verdict: &Verdict, finished: &Finished) {
        let CallbackWorkload {
            callback_id,
            dag_id,
            run_id,
            path,
            ..
        } = workload;
        let duration_ms = finished.duration.as_millis();
        match verdict {
            Verdict::Success => {
                info!(%callback_id, %dag_id, %run_id, path, duration_ms, "ran a callback");
            }
            Verdict::Release => {
                info!(%callback_id, %dag_id, %run_id, path, "put a callback back; it starts over");
            }
            Verdict::Failed { why, is_logged } => {
                warn!(%callback_id, %dag_id, %run_id, path, duration_ms, error = why, "a callback failed");
                if !is_logged {
                    let masker = SecretsMasker::new(self.shared.options.masker.clone());
                    let fields = [("error", Json::from(why.as_str()))];
                    let now = self.shared.clock.now();
                    let line = own_line(Level::Error, "Callback failed", &fields, &masker, now);
                    LogFile::new(self.log_path(workload)).append(&[line], now);
                }
            }
        }
    }

    async fn settle_callback(
        &self,
        workload: &CallbackWorkload,
        verdict: Verdict,
    ) -> Result<(), Error> {
        let report = match verdict {
            Verdict::Success => Some(CallbackReport {
                state: CallbackState::Success,
                output: None,
            }),
            Verdict::Failed { why, .. } => Some(CallbackReport {
                state: CallbackState::Failed,
                output: Some(why),
            }),
            Verdict::Release => None,
        };
        let (shared, id) = (&self.shared, workload.callback_id);
        shared
            .store
            .retry(|| async {
                let now = shared.clock.now();
                let mut tx = shared.store.write().await?;
                match &report {
                    Some(report) => tx.finish_callback(id, report, now).await?,
                    None => tx.release_callback(id, now).await?,
                };
                tx.commit().await
            })
            .await
    }
}

fn verdict_of(finished: &Finished) -> Verdict {
    let failed = |why: String| Verdict::Failed {
        why,
        is_logged: false,
    };
    match &finished.end {
        End::Ended(ChildStatus::Exited(0)) => Verdict::Success,
        End::Ended(ChildStatus::Exited(RAISED)) if finished.last_error.is_some() => {
            Verdict::Failed {
                why: finished.last_error.clone().unwrap_or_default(),
                is_logged: true,
            }
        }
        End::Ended(status) => failed(format!("its process ended: {status:?}")),
        End::TimedOut(limit) => failed(format!(
            "it took longer than [callbacks] callback_execution_timeout: {} s",
            limit.as_secs_f64()
        )),
        End::Garbled(bad) => failed(bad.to_string()),
        End::NotStarted(why) => failed(format!("no process could be started for it: {why}")),
        End::Stopped => Verdict::Release,
    }
}
