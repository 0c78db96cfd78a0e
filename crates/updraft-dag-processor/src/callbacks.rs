//! Runs callbacks that the scheduler requested, each in a child of its own.
//!
//! A request is taken for a limited time and by a job. Who takes it and dies leaves it to be taken
//! again; a callback that kills its child is given up after a few attempts.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};
use updraft_bundles::Bundles;
use updraft_execution::{End, chain};
use updraft_model::JobId;
use updraft_model::callback::CallbackRequest;
use updraft_python::ChildStatus;
use updraft_runtime::Clock;
use updraft_store::Error;
use updraft_task_comms::message::DagFileParseRequest;

use crate::child::Children;
use crate::files::FileKey;
use crate::import_log;

/// Attempts at one callback. A second one may succeed where memory was short.
const ATTEMPTS_MAX: i32 = 3;

/// On top of the time limit of a child: starting it and storing the end.
const CLAIM_MARGIN: Duration = Duration::from_secs(60);

/// Takes at most `limit` requests of `bundles`.
pub(crate) async fn claim(
    children: &Children,
    bundles: &Bundles,
    job_id: JobId,
    limit: usize,
) -> Result<Vec<CallbackRequest>, Error> {
    let configs = bundles.configs();
    let names: Vec<_> = configs.iter().map(|config| config.name.clone()).collect();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let needed = bundles.patience() + children.timeout + CLAIM_MARGIN;
    let claimed_for = SignedDuration::try_from(needed).unwrap_or(SignedDuration::MAX);
    children
        .runner
        .store
        .retry(|| async {
            let now = Clock::machine().now();
            let until = now.checked_add(claimed_for).unwrap_or(Timestamp::MAX);
            let mut tx = children.runner.store.write().await?;
            let claimed = tx
                .claim_callbacks(&names, job_id, limit, now, until)
                .await?;
            tx.commit().await?;
            Ok(claimed)
        })
        .await
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It is done with.
    Done,
    /// It failed in a way that another attempt may not.
    Again,
    /// It did not run for reasons of ours.
    NotRun,
}

/// Runs one callback and forgets the request, unless it is worth another attempt.
pub(crate) async fn run(
    children: &Children,
    bundles: &Bundles,
    request: CallbackRequest,
    log_folder: &Path,
) {
    let served = serve(children, bundles, &request, log_folder).await;
    let store = &children.runner.store;
    let noted = store
        .retry(|| async {
            let mut tx = store.write().await?;
            match served {
                Served::Done => tx.finish_callbacks(&[request.id]).await?,
                Served::Again => tx.release_callback_request(request.id, true).await?,
                Served::NotRun => tx.release_callback_request(request.id, false).await?,
            }
            tx.commit().await
        })
        .await;
    if let Err(error) = noted {
        let error = chain(&error);
        error!(dag_id = %request.dag_id, error, "failed to note the end of a callback; it may run twice");
    }
}

async fn serve(
    children: &Children,
    bundles: &Bundles,
    request: &CallbackRequest,
    log_folder: &Path,
) -> Served {
    let (dag_id, run_id) = (&request.dag_id, &request.run_id);
    if request.attempts > ATTEMPTS_MAX {
        error!(%dag_id, %run_id, attempts = ATTEMPTS_MAX, "gave up on a callback");
        return Served::Done;
    }
    let callback = match serde_json::from_value(request.body.clone()) {
        Ok(callback) => callback,
        Err(error) => {
            error!(%dag_id, %run_id, %error, "dropped a callback that makes no sense");
            return Served::Done;
        }
    };
    // The Dag as the run knows it; held until the child has ended.
    let opened = bundles.open(&request.bundle_name, request.bundle_version.as_deref());
    let bundle = match opened.await {
        Ok(bundle) => bundle,
        Err(updraft_bundles::Error::Stopping) => return Served::NotRun,
        Err(error) => return failed(request, &chain(&error)),
    };
    let parse_request = DagFileParseRequest {
        file: bundle.path.join(&request.filepath).display().to_string(),
        bundle_path: bundle.path.display().to_string(),
        bundle_name: request.bundle_name.to_string(),
        callback_requests: vec![callback],
    };
    let key = FileKey {
        bundle: request.bundle_name.clone(),
        path: request.filepath.clone(),
    };
    let log = import_log::open(log_folder, &key, Clock::machine().now());
    let environment = bundle.environment.clone();
    let finished = children.run(&parse_request, environment, log).await;
    let problem = match finished.end {
        End::Ended(ChildStatus::Exited(0)) => {
            info!(%dag_id, %run_id, duration_ms = finished.duration.as_millis(), "ran a callback");
            return Served::Done;
        }
        End::Stopped => return Served::NotRun,
        End::NotStarted(why) => {
            warn!(%dag_id, %run_id, error = why, "failed to start a callback; trying again");
            return Served::NotRun;
        }
        End::Ended(status) => format!("its process ended: {status:?}"),
        End::TimedOut(limit) => format!("it took longer than {} s", limit.as_secs_f64()),
        End::Garbled(bad) => bad.to_string(),
    };
    failed(request, &problem)
}

fn failed(request: &CallbackRequest, problem: &str) -> Served {
    let (dag_id, run_id, attempt) = (&request.dag_id, &request.run_id, request.attempts);
    warn!(%dag_id, %run_id, attempt, error = problem, "failed to run a callback");
    if attempt >= ATTEMPTS_MAX {
        Served::Done
    } else {
        Served::Again
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use updraft_task_comms::message::CallbackRequest;

    /// Rows hold JSON, children get msgpack: what a child accepted once must survive the detour.
    #[test]
    fn requests_survive_being_stored() {
        let captured: Vec<Value> =
            serde_json::from_str(include_str!("../testdata/callback-requests.json")).unwrap();
        assert!(!captured.is_empty());
        for body in captured {
            let request: CallbackRequest = serde_json::from_value(body.clone()).unwrap();
            let stored = serde_json::to_value(&request).unwrap();
            let again: CallbackRequest = serde_json::from_value(stored).unwrap();
            assert_eq!(again, request, "{body}");
        }
    }
}
