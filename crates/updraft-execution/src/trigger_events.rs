//! What the events of triggers do: deferred task instances go on or end, assets are updated,
//! callbacks come to their end.
//!
//! Many events share one transaction. The first event of a task instance's trigger decides; the
//! trigger's row is gone then, and whatever else it says finds nobody.
//!
//! Source: scheduling semantics §7.1, §7.4.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tracing::warn;
use updraft_model::serialized::SerializedDag;
use updraft_model::task_instance::TaskInstance;
use updraft_model::trigger::{CallbackState, TriggerKind};
use updraft_model::xcom::{XCOM_RETURN_KEY, XCom};
use updraft_model::{TaskInstanceId, TriggerId};
use updraft_planning::trigger_end::{EndEvent, EndView, TriggerEnd, plan_trigger_end};
use updraft_runtime::Ids;
use updraft_store::{
    BuriedTry, CallbackReport, Error, FAIL_METHOD, NewAssetEvent, NewEventLog, Resumption, Tx,
};
use updraft_task_comms::json::{Json, JsonText};
use updraft_task_comms::message::TriggerEvent;
use updraft_task_comms::resumption;

use crate::burial::{WantedCallbacks, end_others, request_callbacks};
use crate::structures::Structures;

/// What a task is told whose trigger gave up.
const TRIGGER_FAILURE: &str = "Trigger failure";

/// A trigger and what it did.
#[derive(Clone, Debug)]
pub struct FiredTrigger {
    pub id: TriggerId,
    pub fired: Fired,
}

/// What a trigger did.
#[derive(Clone, Debug)]
pub enum Fired {
    Event(TriggerEvent),
    /// It ended before it had any event; the lines of a traceback if it raised.
    Failed(Option<Vec<String>>),
}

/// What became of task instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that go on, or fail, on a worker.
    pub resumed: usize,
    /// Those that ended without one.
    pub ended: usize,
}

/// Applies events of triggers. Keeps what it has parsed from one transaction to the next.
#[derive(Debug, Default)]
pub struct TriggerEvents {
    structures: Structures,
}

/// What is about to be written.
#[derive(Default)]
struct Plan {
    resumptions: Vec<Resumption>,
    ends: Vec<(Box<TaskInstance>, EndEvent, Option<JsonText>)>,
}

impl TriggerEvents {
    /// Applies what triggers did, in the order in which they did it.
    ///
    /// # Errors
    /// When the store fails; the transaction must not be committed then.
    pub async fn apply(
        &mut self,
        tx: &mut Tx,
        fired: &[FiredTrigger],
        ids: &Ids,
        now: Timestamp,
    ) -> Result<Settled, Error> {
        let triggers: Vec<TriggerId> = fired.iter().map(|fired| fired.id).collect();
        let mut waiting = BTreeMap::new();
        for ti in tx.lock_deferred(&triggers).await? {
            waiting.extend(ti.trigger_id.map(|id| (id, ti)));
        }
        let mut plan = Plan::default();
        let mut others = Vec::new();
        for one in fired {
            match waiting.remove(&one.id) {
                Some(ti) => plan.add(ti, one),
                None => others.push(one),
            }
        }
        let resumed = tx.resume_deferred(&plan.resumptions, now).await?.len();
        let ended = plan.ends.len();
        for (ti, event, xcoms) in plan.ends {
            self.end(tx, &ti, event, xcoms.as_ref(), ids, now).await?;
        }
        tell_others(tx, &others, now).await?;
        Ok(Settled { resumed, ended })
    }

    /// Ends a task instance without a worker.
    async fn end(
        &mut self,
        tx: &mut Tx,
        ti: &TaskInstance,
        event: EndEvent,
        xcoms: Option<&JsonText>,
        ids: &Ids,
        now: Timestamp,
    ) -> Result<(), Error> {
        let dag = self.dag_of(tx, ti).await?;
        let task = dag
            .as_ref()
            .and_then(|dag| dag.find_task(ti.task_id.as_str()));
        let view = EndView {
            try_number: ti.try_number,
            max_tries: ti.max_tries,
            start_date: ti.start_date,
            task,
            fail_fast: dag.as_ref().is_some_and(|dag| dag.attributes().fail_fast),
        };
        let end = plan_trigger_end(event, &view, now);
        let wanted = WantedCallbacks {
            state: end.state,
            callback: end.callback,
            email: false,
        };
        let why = "the trigger ended the task";
        request_callbacks(tx, ti, task, &wanted, why, now).await?;
        if let Some(xcoms) = xcoms.filter(|_| end.stores_xcoms) {
            store_xcoms(tx, ti, xcoms, now).await?;
        }
        tx.bury_try(&buried(ti, &end, ids), now).await?;
        let served: Vec<TriggerId> = ti.trigger_id.into_iter().collect();
        tx.delete_task_triggers(&served).await?;
        tx.write_event_log(&NewEventLog::about(ti, end.state.as_str(), now))
            .await?;
        if let Some(dag) = dag.filter(|_| end.fail_fast) {
            end_others(tx, &dag, ti, now).await?;
        }
        Ok(())
    }

    async fn dag_of(
        &mut self,
        tx: &mut Tx,
        ti: &TaskInstance,
    ) -> Result<Option<Arc<SerializedDag>>, Error> {
        match ti.dag_version_id {
            Some(version) => self.structures.load(tx, version).await,
            None => Ok(None),
        }
    }
}

impl Plan {
    fn add(&mut self, ti: TaskInstance, fired: &FiredTrigger) {
        let event = match &fired.fired {
            Fired::Event(event) => event,
            Fired::Failed(traceback) => {
                let kwargs = resumption::failure(TRIGGER_FAILURE, traceback.as_deref());
                return self.fail(&ti, fired.id, kwargs);
            }
        };
        if let Some(end) = event.task_instance_state.as_deref().and_then(end_of) {
            return self.ends.push((Box::new(ti), end, event.xcoms.clone()));
        }
        match resumption::with_event(ti.next_kwargs.as_deref(), event) {
            Ok(kwargs) => self.resumptions.push(Resumption {
                ti: ti.id,
                trigger: fired.id,
                next_method: ti.next_method,
                next_kwargs: kwargs.into(),
            }),
            Err(error) => {
                warn!(ti_id = %ti.id, trigger_id = %fired.id, %error, "an event cannot resume its task instance, which fails instead");
                let kwargs = resumption::failure(&error.to_string(), None);
                self.fail(&ti, fired.id, kwargs);
            }
        }
    }

    fn fail(&mut self, ti: &TaskInstance, trigger: TriggerId, kwargs: JsonText) {
        self.resumptions.push(Resumption {
            ti: ti.id,
            trigger,
            next_method: Some(FAIL_METHOD.to_owned()),
            next_kwargs: kwargs.into(),
        });
    }
}

fn end_of(state: &str) -> Option<EndEvent> {
    match state {
        "success" => Some(EndEvent::Success),
        "skipped" => Some(EndEvent::Skipped),
        "failed" => Some(EndEvent::Failed),
        _ => None,
    }
}

fn buried(ti: &TaskInstance, end: &TriggerEnd, ids: &Ids) -> BuriedTry {
    BuriedTry {
        id: ti.id,
        from: ti.state,
        state: end.state,
        end_date: end.end_date,
        duration_secs: end.duration.map(|duration| duration.as_secs_f64()),
        successor: end.archive.then(|| TaskInstanceId(ids.uuid())),
    }
}

async fn store_xcoms(
    tx: &mut Tx,
    ti: &TaskInstance,
    xcoms: &JsonText,
    now: Timestamp,
) -> Result<(), Error> {
    let Ok(Json::Object(entries)) = xcoms.to_json() else {
        return Ok(());
    };
    for (key, value) in entries {
        // What a worker would have said: the length to map over.
        let length = match &value {
            Json::Array(items) => u32::try_from(items.len()).ok(),
            Json::Object(entries) => u32::try_from(entries.len()).ok(),
            _ => None,
        };
        let length = length.filter(|_| key == XCOM_RETURN_KEY);
        let xcom = XCom {
            dag_id: ti.dag_id.clone(),
            run_id: ti.run_id.clone(),
            task_id: ti.task_id.clone(),
            map_index: ti.map_index,
            key: key.into_owned(),
            value: JsonText::from(&value).into(),
            dag_result: false,
            timestamp: now,
        };
        tx.set_xcom(&xcom, length).await?;
    }
    Ok(())
}

/// Triggers that no task instance waits for: of assets, of callbacks, or served already.
async fn tell_others(tx: &mut Tx, fired: &[&FiredTrigger], now: Timestamp) -> Result<(), Error> {
    let ids: Vec<TriggerId> = fired.iter().map(|fired| fired.id).collect();
    let kinds = tx.load_trigger_kinds(&ids).await?;
    for one in fired {
        match (kinds.get(&one.id), &one.fired) {
            (Some(TriggerKind::Asset), Fired::Event(event)) => {
                register_event(tx, one.id, event, now).await?;
            }
            (Some(TriggerKind::Asset), Fired::Failed(_)) => {
                warn!(trigger_id = %one.id, "a watcher of assets failed");
            }
            (Some(TriggerKind::Callback), fired) => {
                if let Some(report) = callback_report(fired) {
                    tx.note_callback(one.id, &report).await?;
                }
            }
            (Some(TriggerKind::Task) | None, _) => {}
        }
    }
    Ok(())
}

/// Each asset that the trigger watches is updated.
async fn register_event(
    tx: &mut Tx,
    trigger: TriggerId,
    event: &TriggerEvent,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(problem) = &event.problem {
        warn!(trigger_id = %trigger, problem, "left out an event of a watcher");
        return Ok(());
    }
    let payload = event.payload.to_json().map(|json| json.to_serde_value());
    let extra = json!({"from_trigger": true, "payload": payload.unwrap_or_default()});
    for asset_id in tx.load_assets_of_trigger(trigger).await? {
        let event = NewAssetEvent {
            asset_id,
            extra: &extra,
            source: None,
            alias_ids: &[],
            partition_key: None,
            partition_date: None,
        };
        tx.register_asset_event(&event, now).await?;
    }
    Ok(())
}

/// What a callback said about itself. `None`: nothing that we understand.
fn callback_report(fired: &Fired) -> Option<CallbackReport> {
    let event = match fired {
        Fired::Event(event) => event,
        Fired::Failed(traceback) => {
            let lines = traceback.as_ref().map(|lines| lines.concat());
            let nothing = || "the callback ended without a result".to_owned();
            return Some(CallbackReport {
                state: CallbackState::Failed,
                output: Some(lines.unwrap_or_else(nothing)),
            });
        }
    };
    let payload = event.payload.to_json().ok()?;
    let state = match payload.get("state") {
        Some(Json::Text(state)) => state.parse().ok()?,
        _ => return None,
    };
    let output = match payload.get("body") {
        None | Some(Json::Null) => None,
        Some(Json::Text(text)) => Some(text.to_string()),
        Some(other) => Some(JsonText::from(other).into()),
    };
    Some(CallbackReport { state, output })
}
