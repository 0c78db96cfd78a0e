//! Requests for the Dag processor: callbacks of a Dag run that ended, and those of tasks whose own
//! process could not run them.

use updraft_model::dag::Dag;
use updraft_model::dag_run::DagRun;
use updraft_model::task_instance::TaskInstance;
use updraft_planning::run::DagCallback;
use updraft_store::NewCallbackRequest;
use updraft_task_comms::message;

/// Dag callbacks come before task callbacks, as in Airflow's table of priorities.
const DAG_CALLBACK_PRIORITY: i32 = 1;

/// The request that a Dag's own callback be run.
///
/// Source: runtime protocols §3.2.
pub(crate) fn dag_callback(
    dag: &Dag,
    run: &DagRun,
    last_ti: Option<&TaskInstance>,
    callback: &DagCallback,
) -> NewCallbackRequest {
    let body = message::CallbackRequest::DagCallbackRequest(message::DagCallbackRequest {
        filepath: dag.relative_fileloc.clone(),
        bundle_name: dag.bundle_name.to_string(),
        bundle_version: run.bundle_version.clone(),
        msg: Some(callback.msg.to_owned()),
        dag_id: run.dag_id.to_string(),
        run_id: run.run_id.to_string(),
        context_from_server: Some(message::DagRunContext {
            dag_run: Some(message::DagRun::from(run)),
            last_ti: last_ti.and_then(message::TaskInstance::of),
        }),
        is_failure_callback: callback.is_failure,
    });
    NewCallbackRequest {
        priority_weight: DAG_CALLBACK_PRIORITY,
        bundle_name: dag.bundle_name.clone(),
        bundle_version: run.bundle_version.clone(),
        filepath: dag.relative_fileloc.clone(),
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        body: serde_json::to_value(&body).expect("texts, numbers and dates have a JSON form"),
    }
}
