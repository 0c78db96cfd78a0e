//! What a child may ask, and who answers.
//!
//! Source: runtime protocols §1.8, §7.3.

mod asset;
mod dag_run;
mod hitl;
mod secret;
mod state_store;
mod task_instance;
mod xcom;

use std::sync::Arc;

use updraft_dag_run::RunRules;
use updraft_model::{DagId, MapIndex, RunId, TaskId, TaskInstanceId};
use updraft_runtime::{Clock, Ids};
use updraft_store::{Error, Store};
use updraft_task_comms::message::{Response, StoreRequest};
use updraft_task_comms::session::{Answer, Failure};

use crate::PythonSide;
use crate::failure::{failure_of, not_for};
use state_store::AssetName;

/// Who asks. A child may read much, but it writes only about itself.
#[derive(Clone, Debug)]
pub enum Asker {
    Task(Arc<TaskAsker>),
    /// A Dag file while it is parsed, a callback, or user code that answers the server.
    DagFile(Option<PythonSide>),
    /// A callback that an executor runs, or a connection test.
    Callback(Option<PythonSide>),
    /// A trigger. Which one the child does not say.
    Trigger(Arc<AnswerOptions>),
}

/// The try that asks.
#[derive(Clone, Debug)]
pub struct TaskAsker {
    pub ti_id: TaskInstanceId,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub task_id: TaskId,
    pub map_index: MapIndex,
    pub options: AnswerOptions,
}

/// Settings that answers depend on.
#[derive(Clone, Debug)]
pub struct AnswerOptions {
    /// `[core] max_map_length`.
    pub map_length_max: u32,
    /// What a run that a task triggers may be.
    pub run_rules: RunRules,
    pub clock: Clock,
    pub ids: Ids,
    /// `None`: nothing of what a task asks needs the user's Python.
    pub python: Option<PythonSide>,
}

impl Asker {
    /// A Dag file while it is parsed, or a callback.
    #[must_use]
    pub const fn dag_file() -> Self {
        Self::DagFile(None)
    }

    /// The same, with the secrets backend of the server.
    #[must_use]
    pub const fn dag_file_with(python: Option<PythonSide>) -> Self {
        Self::DagFile(python)
    }
}

/// A body, nothing, or why it failed.
type Outcome = Result<Option<Response>, Failure>;

fn stored<T>(result: Result<T, Error>) -> Result<T, Failure> {
    result.map_err(|error| failure_of(&error))
}

/// Answers one request of a child.
pub async fn answer(store: &Store, asker: &Asker, request: StoreRequest) -> Answer {
    match asker {
        Asker::Task(task) => match of_task(store, task, request).await {
            Answered::Yes(outcome) => outcome,
            Answered::No(request) => {
                read(store, task.options.python.as_ref(), request, "a task").await
            }
        },
        Asker::DagFile(python) => read(store, python.as_ref(), request, "a Dag file").await,
        Asker::Callback(python) => of_callback(store, python.as_ref(), request).await,
        Asker::Trigger(options) => match of_trigger(store, options, request).await {
            Answered::Yes(outcome) => outcome,
            Answered::No(request) => {
                read(store, options.python.as_ref(), request, "a trigger").await
            }
        },
    }
}

/// Airflow lets a callback ask for no more than this.
async fn of_callback(store: &Store, python: Option<&PythonSide>, request: StoreRequest) -> Outcome {
    use StoreRequest as R;
    match request {
        R::GetConnection(_) | R::GetVariable(_) | R::GetVariableKeys(_) => {
            read(store, python, request, "a callback").await
        }
        request => Err(not_for("a callback", &request)),
    }
}

/// Whether a request was one of the kind.
enum Answered {
    Yes(Outcome),
    No(StoreRequest),
}

/// What only a running try may ask: mostly, to write.
async fn of_task(store: &Store, task: &TaskAsker, request: StoreRequest) -> Answered {
    use StoreRequest as R;
    Answered::Yes(match request {
        R::SkipDownstreamTasks(request) => {
            task_instance::skip_downstream(store, task, request).await
        }
        R::SetRenderedFields(request) => {
            task_instance::set_rendered_fields(store, task, request).await
        }
        R::SetRenderedMapIndex(request) => {
            task_instance::set_rendered_map_index(store, task, request).await
        }
        R::SetXCom(request) => xcom::set(store, &task.options, request).await,
        R::DeleteXCom(request) => xcom::delete(store, request).await,
        R::ValidateInletsAndOutlets(request) => asset::validate(store, request).await,
        R::TriggerDagRun(request) => dag_run::trigger(store, task, request).await,
        R::CreateHITLDetailPayload(request) => hitl::ask(store, task, request).await,
        R::GetTaskStateStore(request) => {
            state_store::get_of_task(store, &task.options.clock, request).await
        }
        R::SetTaskStateStore(request) => {
            state_store::set_of_task(store, &task.options.clock, request).await
        }
        R::DeleteTaskStateStore(request) => {
            state_store::delete_of_task(store, request.ti_id, &request.key).await
        }
        R::ClearTaskStateStore(request) => state_store::clear_of_task(store, request.ti_id).await,
        R::SetAssetStateStoreByName(request) => {
            let asset = AssetName::Name(request.name);
            state_store::set_of_asset(store, task, asset, &request.key, &request.value).await
        }
        R::SetAssetStateStoreByUri(request) => {
            let asset = AssetName::Uri(request.uri);
            state_store::set_of_asset(store, task, asset, &request.key, &request.value).await
        }
        request => return forgetting_of_assets(store, request).await,
    })
}

/// What a trigger may ask beyond reading. It runs for a task instance or for assets and may write
/// about both.
async fn of_trigger(store: &Store, options: &AnswerOptions, request: StoreRequest) -> Answered {
    use StoreRequest as R;
    Answered::Yes(match request {
        R::SetXCom(request) => xcom::set(store, options, request).await,
        R::DeleteXCom(request) => xcom::delete(store, request).await,
        request => return of_watcher(store, options, request).await,
    })
}

/// The state of assets, as whoever watches them may write it.
async fn of_watcher(store: &Store, options: &AnswerOptions, request: StoreRequest) -> Answered {
    use StoreRequest as R;
    let now = options.clock.now();
    Answered::Yes(match request {
        R::SetAssetStateStoreByName(request) => {
            let asset = AssetName::Name(request.name);
            let (key, value) = (&request.key, &request.value);
            state_store::set_by_watcher(store, asset, key, value, now).await
        }
        R::SetAssetStateStoreByUri(request) => {
            let asset = AssetName::Uri(request.uri);
            let (key, value) = (&request.key, &request.value);
            state_store::set_by_watcher(store, asset, key, value, now).await
        }
        request => return forgetting_of_assets(store, request).await,
    })
}

/// The orders to delete the state of assets.
async fn forgetting_of_assets(store: &Store, request: StoreRequest) -> Answered {
    use StoreRequest as R;
    Answered::Yes(match request {
        R::DeleteAssetStateStoreByName(request) => {
            state_store::delete_of_asset(store, AssetName::Name(request.name), &request.key).await
        }
        R::DeleteAssetStateStoreByUri(request) => {
            state_store::delete_of_asset(store, AssetName::Uri(request.uri), &request.key).await
        }
        R::ClearAssetStateStoreByName(request) => {
            state_store::clear_of_asset(store, AssetName::Name(request.name)).await
        }
        R::ClearAssetStateStoreByUri(request) => {
            state_store::clear_of_asset(store, AssetName::Uri(request.uri)).await
        }
        request => return Answered::No(request),
    })
}

/// What every child may ask.
async fn read(
    store: &Store,
    python: Option<&PythonSide>,
    request: StoreRequest,
    asker: &str,
) -> Outcome {
    use StoreRequest as R;
    match request {
        R::GetConnection(request) => secret::connection(store, python, request).await,
        R::GetVariable(request) => secret::variable(store, python, request).await,
        R::GetVariableKeys(request) => secret::variable_keys(store, request).await,
        R::PutVariable(request) => secret::put_variable(store, python, request).await,
        R::DeleteVariable(request) => secret::delete_variable(store, python, request).await,

        R::GetXCom(request) => xcom::get(store, request).await,
        R::GetXComCount(request) => xcom::count(store, request).await,
        R::GetXComSequenceItem(request) => xcom::item(store, request).await,
        R::GetXComSequenceSlice(request) => xcom::slice(store, request).await,

        R::GetAssetByName(request) => asset::by_name(store, &request.name).await,
        R::GetAssetByUri(request) => asset::by_uri(store, &request.uri).await,
        R::GetAssetsByAlias(request) => asset::by_alias(store, &request.alias_name).await,
        R::GetAssetEventByAsset(request) => asset::events_of_asset(store, request).await,
        R::GetAssetEventByAssetAlias(request) => asset::events_of_alias(store, request).await,
        R::GetAssetStateStoreByName(request) => {
            state_store::get_of_asset(store, AssetName::Name(request.name), &request.key).await
        }
        R::GetAssetStateStoreByUri(request) => {
            state_store::get_of_asset(store, AssetName::Uri(request.uri), &request.key).await
        }

        R::GetDag(request) => dag_run::dag(store, request).await,
        R::GetDagRun(request) => dag_run::get(store, request).await,
        R::GetDagRunState(request) => dag_run::state(store, request).await,
        R::GetPreviousDagRun(request) => dag_run::previous(store, request).await,
        R::GetPrevSuccessfulDagRun(request) => dag_run::previous_successful(store, request).await,
        R::GetDRCount(request) => dag_run::count(store, request).await,

        R::GetTICount(request) => task_instance::count(store, request).await,
        R::GetTaskStates(request) => task_instance::task_states(store, request).await,
        R::GetPreviousTI(request) => task_instance::previous(store, request).await,
        R::GetTaskBreadcrumbs(request) => task_instance::breadcrumbs(store, request).await,
        R::GetTaskRescheduleStartDate(request) => {
            task_instance::reschedule_start_date(store, request).await
        }
        request => Err(not_for(asker, &request)),
    }
}
