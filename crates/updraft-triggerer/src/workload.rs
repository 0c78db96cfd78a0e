//! From a trigger's row to what the child is told.

use serde_json::Value;
use updraft_execution::{LogDates, LogNames, Structures, chain};
use updraft_model::TriggerId;
use updraft_model::task_instance::TaskInstance;
use updraft_model::trigger::{RunnableTrigger, TriggerKind, Waiting};
use updraft_store::{Error, Reader, RunKey};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{DagRun, RunTrigger, TaskInstanceDTO};

/// A trigger, ready for the child.
#[derive(Debug)]
pub struct Workload {
    pub run_trigger: RunTrigger,
    pub kind: TriggerKind,
    /// Of a trigger of a task instance.
    pub ti: Option<Box<TaskInstance>>,
    /// The log of its try.
    pub log_path: Option<String>,
}

/// A trigger that cannot run, and why.
#[derive(Debug)]
pub struct Unrunnable {
    pub id: TriggerId,
    pub why: String,
}

impl Workload {
    pub fn id(&self) -> TriggerId {
        TriggerId(self.run_trigger.id)
    }

    /// The run of its task instance.
    pub fn run(&self) -> Option<RunKey> {
        self.ti.as_ref().map(|ti| RunKey {
            dag_id: ti.dag_id.clone(),
            run_id: ti.run_id.clone(),
        })
    }

    /// Makes a trigger ready.
    ///
    /// # Errors
    /// When the store fails; what is wrong with the trigger itself is the inner error.
    pub async fn prepare(
        reader: &mut Reader,
        runnable: RunnableTrigger,
        structures: &mut Structures,
        log_names: &LogNames,
    ) -> Result<Result<Self, Unrunnable>, Error> {
        let RunnableTrigger { trigger, waiting } = runnable;
        let unrunnable = |why: &str| {
            Ok(Err(Unrunnable {
                id: trigger.id,
                why: why.to_owned(),
            }))
        };
        let Some(kwargs) = trigger.kwargs else {
            return unrunnable(
                "the arguments of the trigger cannot be decrypted: none of the keys in \
                 [core] fernet_key fits",
            );
        };
        let mut run_trigger = RunTrigger {
            id: trigger.id.0,
            classpath: trigger.classpath,
            encrypted_kwargs: kwargs,
            ti: None,
            timeout_after: None,
            dag_data: None,
            dag_run_data: None,
            watched_assets: None,
        };
        let ti = match waiting {
            Waiting::Callback => None,
            Waiting::Assets(assets) => {
                let assets: Value = assets
                    .into_iter()
                    .map(|(name, uri)| (name, Value::from(uri)))
                    .collect();
                run_trigger.watched_assets = Some(JsonText::from(&assets));
                None
            }
            Waiting::Task(ti) => {
                let Some(dto) = TaskInstanceDTO::of(&ti) else {
                    return unrunnable("the task instance belongs to no version of its Dag");
                };
                run_trigger.ti = Some(dto);
                run_trigger.timeout_after = ti.trigger_timeout.map(Into::into);
                add_template_context(reader, &mut run_trigger, &ti, structures).await?;
                Some(ti)
            }
        };
        let log_path = match &ti {
            Some(ti) => Some(log_path(reader, ti, log_names).await?),
            None => None,
        };
        Ok(Ok(Self {
            run_trigger,
            kind: trigger.kind,
            ti,
            log_path,
        }))
    }
}

/// Where the log of a try is. Its run is needed for other names than the default ones only.
async fn log_path(
    reader: &mut Reader,
    ti: &TaskInstance,
    log_names: &LogNames,
) -> Result<String, Error> {
    if log_names.is_default() {
        return Ok(ti.key().log_path());
    }
    let run = reader.find_dag_run(&ti.dag_id, &ti.run_id).await?;
    Ok(run.map_or_else(
        || ti.key().log_path(),
        |run| log_names.path(ti, &LogDates::from(&run)),
    ))
}

/// A trigger in which its task started has templates to render, and no worker has done it.
async fn add_template_context(
    reader: &mut Reader,
    run_trigger: &mut RunTrigger,
    ti: &TaskInstance,
    structures: &mut Structures,
) -> Result<(), Error> {
    let Some(version) = ti.dag_version_id else {
        return Ok(());
    };
    let Some(dag) = structures.load(reader, version).await? else {
        return Ok(());
    };
    let task = dag.find_task(ti.task_id.as_str());
    if task.is_none_or(|task| task.start_trigger.is_none()) {
        return Ok(());
    }
    let Some(run) = reader.find_dag_run(&ti.dag_id, &ti.run_id).await? else {
        return Ok(());
    };
    match serde_json::to_value(DagRun::from(&run)) {
        Ok(run) => {
            run_trigger.dag_data = Some(JsonText::from(dag.raw()));
            run_trigger.dag_run_data = Some(JsonText::from(&run));
        }
        Err(error) => {
            tracing::warn!(ti_id = %ti.id, error = chain(&error), "a trigger starts without a template context");
        }
    }
    Ok(())
}
