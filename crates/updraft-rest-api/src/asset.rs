//! Assets, their aliases and events.

use serde::Serialize;
use serde_json::{Map, Value, json};
use updraft_model::asset::{
    AssetAlias, AssetDetails, AssetEvent, AssetTaskReference, AssetWatcherReference, ConsumingRun,
    QueuedAssetEvent,
};
use updraft_model::{DagId, DagRunState, RunId, TaskId, TriggerId};

use crate::dag_run::TriggerDagRunBody;
use crate::fields::{Body, Fields, read_body};
use crate::issue::{Checked, Issue};
use crate::mask::masked;
use crate::time::{ApiTime, api_time};
use crate::value;

/// The longest partition key.
const PARTITION_KEY_CHARS_MAX: usize = 250;

/// An asset.
#[derive(Clone, Debug, Serialize)]
pub struct AssetResponse {
    pub id: i64,
    pub name: String,
    pub uri: String,
    pub group: String,
    pub extra: Value,
    pub created_at: ApiTime,
    pub updated_at: ApiTime,
    pub scheduled_dags: Vec<DagReference>,
    pub producing_tasks: Vec<TaskReference>,
    pub consuming_tasks: Vec<TaskReference>,
    pub aliases: Vec<AssetAliasResponse>,
    pub watchers: Vec<AssetWatcherResponse>,
    pub last_asset_event: LastAssetEventResponse,
}

/// A Dag that is scheduled on an asset.
#[derive(Clone, Debug, Serialize)]
pub struct DagReference {
    pub dag_id: DagId,
    pub created_at: ApiTime,
    pub updated_at: ApiTime,
}

/// A task that reads or writes an asset.
#[derive(Clone, Debug, Serialize)]
pub struct TaskReference {
    pub dag_id: DagId,
    pub task_id: TaskId,
    pub created_at: ApiTime,
    pub updated_at: ApiTime,
}

/// A trigger that watches an asset.
#[derive(Clone, Debug, Serialize)]
pub struct AssetWatcherResponse {
    pub name: String,
    pub trigger_id: TriggerId,
    pub created_date: ApiTime,
}

/// The latest event of an asset, if there was one.
#[derive(Clone, Debug, Serialize)]
pub struct LastAssetEventResponse {
    pub id: Option<i64>,
    pub timestamp: Option<ApiTime>,
}

impl From<&AssetDetails> for AssetResponse {
    fn from(details: &AssetDetails) -> Self {
        let asset = &details.asset;
        let scheduled = details.scheduled_dags.iter();
        let tasks = |tasks: &[AssetTaskReference]| tasks.iter().map(TaskReference::from).collect();
        Self {
            id: asset.id,
            name: asset.name.clone(),
            uri: asset.uri.clone(),
            group: asset.group.clone(),
            extra: masked(&asset.extra, None),
            created_at: ApiTime(details.created_at),
            updated_at: ApiTime(details.updated_at),
            scheduled_dags: scheduled
                .map(|(dag_id, since)| DagReference {
                    dag_id: dag_id.clone(),
                    created_at: ApiTime(*since),
                    updated_at: ApiTime(*since),
                })
                .collect(),
            producing_tasks: tasks(&details.producing_tasks),
            consuming_tasks: tasks(&details.consuming_tasks),
            aliases: details.aliases.iter().map(Into::into).collect(),
            watchers: details.watchers.iter().map(Into::into).collect(),
            last_asset_event: LastAssetEventResponse {
                id: details.last_event.map(|(id, _)| id),
                timestamp: api_time(details.last_event.map(|(_, at)| at)),
            },
        }
    }
}

impl From<&AssetTaskReference> for TaskReference {
    fn from(reference: &AssetTaskReference) -> Self {
        Self {
            dag_id: reference.dag_id.clone(),
            task_id: reference.task_id.clone(),
            created_at: ApiTime(reference.created_at),
            updated_at: ApiTime(reference.created_at),
        }
    }
}

impl From<&AssetWatcherReference> for AssetWatcherResponse {
    fn from(watcher: &AssetWatcherReference) -> Self {
        Self {
            name: watcher.name.clone(),
            trigger_id: watcher.trigger_id,
            created_date: ApiTime(watcher.created_date),
        }
    }
}

/// A page of assets.
#[derive(Clone, Debug, Serialize)]
pub struct AssetCollectionResponse {
    pub assets: Vec<AssetResponse>,
    pub total_entries: i64,
}

/// An asset alias.
#[derive(Clone, Debug, Serialize)]
pub struct AssetAliasResponse {
    pub id: i64,
    pub name: String,
    pub group: String,
}

impl From<&AssetAlias> for AssetAliasResponse {
    fn from(alias: &AssetAlias) -> Self {
        Self {
            id: alias.id,
            name: alias.name.clone(),
            group: alias.group.clone(),
        }
    }
}

/// A page of asset aliases.
#[derive(Clone, Debug, Serialize)]
pub struct AssetAliasCollectionResponse {
    pub asset_aliases: Vec<AssetAliasResponse>,
    pub total_entries: i64,
}

/// An event of an asset.
#[derive(Clone, Debug, Serialize)]
pub struct AssetEventResponse {
    pub id: i64,
    pub asset_id: i64,
    pub uri: String,
    pub name: String,
    pub group: String,
    pub extra: Value,
    pub source_task_id: Option<TaskId>,
    pub source_dag_id: Option<DagId>,
    pub source_run_id: Option<RunId>,
    pub source_map_index: i32,
    pub created_dagruns: Vec<ConsumingRunResponse>,
    pub timestamp: ApiTime,
    pub partition_key: Option<String>,
}

/// A run that consumed an event. Until it starts it has no `start_date`.
#[derive(Clone, Debug, Serialize)]
pub struct ConsumingRunResponse {
    pub run_id: RunId,
    pub dag_id: DagId,
    pub logical_date: Option<ApiTime>,
    pub start_date: Option<ApiTime>,
    pub end_date: Option<ApiTime>,
    pub state: DagRunState,
    pub data_interval_start: Option<ApiTime>,
    pub data_interval_end: Option<ApiTime>,
    pub partition_key: Option<String>,
    pub triggering: bool,
}

impl AssetEventResponse {
    /// The answer for an event; of `runs` those count that consumed it.
    #[must_use]
    pub fn new(event: &AssetEvent, runs: &[ConsumingRun]) -> Self {
        let consuming = runs.iter().filter(|run| run.event_id == event.id);
        Self {
            id: event.id,
            asset_id: event.asset_id,
            uri: event.uri.clone(),
            name: event.name.clone(),
            group: event.group.clone(),
            extra: masked(&event.extra, None),
            source_task_id: event.source_task_id.clone(),
            source_dag_id: event.source_dag_id.clone(),
            source_run_id: event.source_run_id.clone(),
            source_map_index: event.source_map_index.0,
            created_dagruns: consuming.map(Into::into).collect(),
            timestamp: ApiTime(event.timestamp),
            partition_key: event.partition_key.clone(),
        }
    }
}

impl From<&ConsumingRun> for ConsumingRunResponse {
    fn from(consuming: &ConsumingRun) -> Self {
        let run = &consuming.run;
        Self {
            run_id: run.run_id.clone(),
            dag_id: run.dag_id.clone(),
            logical_date: api_time(run.logical_date),
            start_date: api_time(run.start_date),
            end_date: api_time(run.end_date),
            state: run.state,
            data_interval_start: api_time(run.data_interval_start),
            data_interval_end: api_time(run.data_interval_end),
            partition_key: run.partition_key.clone(),
            triggering: consuming.is_triggering,
        }
    }
}

/// A page of events.
#[derive(Clone, Debug, Serialize)]
pub struct AssetEventCollectionResponse {
    pub asset_events: Vec<AssetEventResponse>,
    pub total_entries: i64,
}

/// An event that waits to be consumed.
#[derive(Clone, Debug, Serialize)]
pub struct QueuedEventResponse {
    pub dag_id: DagId,
    pub asset_id: i64,
    pub created_at: ApiTime,
    pub dag_display_name: String,
}

impl From<&QueuedAssetEvent> for QueuedEventResponse {
    fn from(queued: &QueuedAssetEvent) -> Self {
        let name = queued.dag_display_name.clone();
        Self {
            dag_id: queued.dag_id.clone(),
            asset_id: queued.asset_id,
            created_at: ApiTime(queued.created_at),
            dag_display_name: name.unwrap_or_else(|| queued.dag_id.to_string()),
        }
    }
}

/// Events that wait to be consumed.
#[derive(Clone, Debug, Serialize)]
pub struct QueuedEventCollectionResponse {
    pub queued_events: Vec<QueuedEventResponse>,
    pub total_entries: usize,
}

/// The body that records an event.
#[derive(Clone, Debug, Default)]
pub struct CreateAssetEventsBody {
    pub asset_id: i64,
    pub partition_key: Option<String>,
    pub extra: Map<String, Value>,
}

impl Body for CreateAssetEventsBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let asset_id = fields.required("asset_id", value::integer);
        let partition_key = fields.optional("partition_key", partition_key);
        // Quirk: an event without `extra` does not say where it is from.
        let extra = fields.or("extra", Map::new(), |sent| {
            let mut extra = value::object(sent)?;
            extra.insert("from_rest_api".to_owned(), true.into());
            Ok(extra)
        });
        fields.optional("access_control", read_body::<AccessControl>);
        Self {
            asset_id,
            partition_key,
            extra,
        }
    }
}

/// Teams that may hear of an event. It says nothing while there is only one team.
#[derive(Clone, Debug, Default)]
struct AccessControl;

impl Body for AccessControl {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.optional("consumer_teams", value::list_of(value::text));
        fields.or("allow_global", true, value::boolean);
        Self
    }
}

fn partition_key(value: &Value) -> Checked<String> {
    let text = value::text(value)?;
    if text.chars().count() > PARTITION_KEY_CHARS_MAX {
        return value::text_up_to(PARTITION_KEY_CHARS_MAX)(value);
    }
    if text.chars().all(char::is_whitespace) {
        let pattern = r"\S";
        let msg = format!("String should match pattern '{pattern}'");
        let issue = Issue::new("string_pattern_mismatch", msg, value);
        return Err(vec![issue.with(json!({"pattern": pattern}))]);
    }
    Ok(text)
}

/// The body that has an asset written: that of a trigger, but for the date, which may be missing.
#[derive(Clone, Debug, Default)]
pub struct MaterializeAssetBody(pub TriggerDagRunBody);

impl Body for MaterializeAssetBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self(TriggerDagRunBody::read_with(fields, |fields| {
            fields.optional("logical_date", value::instant)
        }))
    }
}
