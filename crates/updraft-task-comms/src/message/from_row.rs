//! Rows of the store in the form that a child reads.

use updraft_model::dag_run as row;
use updraft_model::task_instance as ti_row;

use updraft_model::asset as asset_row;

use super::{
    AssetAliasReferenceAssetEventDagRun, AssetEventDagRunReference, AssetReferenceAssetEventDagRun,
    DagRun, TaskInstance, TaskInstanceDTO,
};
use crate::json::JsonText;

impl From<&row::DagRun> for DagRun {
    /// Consumed asset events and the team are not in the row; whoever knows them sets them.
    fn from(run: &row::DagRun) -> Self {
        Self {
            dag_id: run.dag_id.to_string(),
            run_id: run.run_id.to_string(),
            logical_date: run.logical_date.map(Into::into),
            data_interval_start: run.data_interval_start.map(Into::into),
            data_interval_end: run.data_interval_end.map(Into::into),
            run_after: run.run_after.into(),
            start_date: run.start_date.map(Into::into),
            end_date: run.end_date.map(Into::into),
            clear_number: run.clear_number,
            run_type: run.run_type.to_string(),
            state: run.state.to_string(),
            conf: Some(JsonText::from(&run.conf)),
            triggering_user_name: run.triggering_user_name.clone(),
            consumed_asset_events: Vec::new(),
            partition_key: run.partition_key.clone(),
            partition_date: run.partition_date.map(Into::into),
            note: run.note.clone(),
            team_name: None,
        }
    }
}

impl TaskInstance {
    /// The try that a row stands for; `None` when it belongs to no version of its Dag, which a
    /// child could not read.
    pub fn of(ti: &ti_row::TaskInstance) -> Option<Self> {
        Some(Self {
            id: ti.id.0,
            task_id: ti.task_id.to_string(),
            dag_id: ti.dag_id.to_string(),
            run_id: ti.run_id.to_string(),
            try_number: i64::from(ti.try_number),
            dag_version_id: ti.dag_version_id?.0,
            map_index: i64::from(ti.map_index.0),
            hostname: Some(ti.hostname.clone()).filter(|name| !name.is_empty()),
            context_carrier: None,
            queue: ti.queue.clone(),
        })
    }
}

impl TaskInstanceDTO {
    /// The same, with what an executor would know of it.
    pub fn of(ti: &ti_row::TaskInstance) -> Option<Self> {
        let TaskInstance {
            id,
            task_id,
            dag_id,
            run_id,
            try_number,
            dag_version_id,
            map_index,
            hostname,
            context_carrier,
            queue,
        } = TaskInstance::of(ti)?;
        Some(Self {
            id,
            task_id,
            dag_id,
            run_id,
            try_number,
            dag_version_id,
            map_index,
            hostname,
            context_carrier,
            queue,
            pool_slots: i64::from(ti.pool_slots),
            priority_weight: ti.priority_weight,
            external_executor_id: ti.external_executor_id.clone(),
            executor_config: None,
        })
    }
}

impl From<&asset_row::AssetEvent> for AssetEventDagRunReference {
    fn from(event: &asset_row::AssetEvent) -> Self {
        let alias = |name: &String| AssetAliasReferenceAssetEventDagRun { name: name.clone() };
        Self {
            asset: AssetReferenceAssetEventDagRun {
                name: event.name.clone(),
                uri: event.uri.clone(),
                extra: JsonText::from(&event.asset_extra),
            },
            extra: JsonText::from(&event.extra),
            source_task_id: event.source_task_id.as_ref().map(ToString::to_string),
            source_dag_id: event.source_dag_id.as_ref().map(ToString::to_string),
            source_run_id: event.source_run_id.as_ref().map(ToString::to_string),
            source_map_index: Some(i64::from(event.source_map_index.0)),
            source_aliases: event.source_aliases.iter().map(alias).collect(),
            timestamp: event.timestamp.into(),
            partition_key: event.partition_key.clone(),
        }
    }
}
