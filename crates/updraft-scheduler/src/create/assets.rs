//! Creates the runs that updates of assets make due.
//!
//! Source: scheduling semantics §2.1, §2.5.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tracing::{debug, info, warn};
use updraft_model::dag::Dag;
use updraft_model::dag_run::DagRun;
use updraft_model::{DagId, DagRunType, DagVersionId};
use updraft_planning::asset_run::{
    AssetRunPlan, AssetRunView, QueuedAsset, event_window_floor, plan_asset_run,
};
use updraft_store::{QueuedConsumer, Reader, ResolvedKeys, RunCreation, Tx, WhichDags};
use updraft_timetable::{AssetCondition, AssetMention, ResolvedAssets, Timetable, generate_run_id};

use super::{NewRun, RANDOM_CHARS};
use crate::Error;
use crate::dags::CachedDag;
use crate::scheduler::Scheduler;

/// What came of a Dag with queued assets.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Created,
    /// There is nothing to do until something happens to it.
    Waits,
    /// Another scheduler is at it.
    Busy,
}

/// What came of all of them.
#[derive(Debug, Default)]
pub(super) struct AssetRuns {
    /// Dags that got a run: they are due by the clock one round later.
    pub(super) created: BTreeSet<DagId>,
    /// Dags that another scheduler was at; look again soon.
    pub(super) busy: BTreeSet<DagId>,
}

impl Scheduler {
    /// Creates at most one run for each Dag whose queued assets suffice.
    pub(super) async fn create_asset_runs(
        &mut self,
        tx: &mut Tx,
        which: &WhichDags,
        now: Timestamp,
    ) -> Result<AssetRuns, Error> {
        let mut runs = AssetRuns::default();
        let mut queued: BTreeMap<DagId, Vec<QueuedConsumer>> = BTreeMap::new();
        for consumer in tx.load_queued_consumers(which).await? {
            let consumers = queued.entry(consumer.dag_id.clone()).or_default();
            consumers.push(consumer);
        }
        let max = usize::try_from(self.options.max_dagruns_to_create).unwrap_or(usize::MAX);
        for (dag_id, consumers) in queued {
            if runs.created.len() >= max {
                self.agenda.wait_for(dag_id);
                continue;
            }
            match self.create_asset_run(tx, &dag_id, &consumers, now).await? {
                Outcome::Created => _ = runs.created.insert(dag_id),
                Outcome::Busy => _ = runs.busy.insert(dag_id),
                Outcome::Waits => {}
            }
        }
        Ok(runs)
    }

    async fn create_asset_run(
        &mut self,
        tx: &mut Tx,
        dag_id: &DagId,
        queued: &[QueuedConsumer],
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let Some(version) = tx.find_latest_version(dag_id).await? else {
            debug!(%dag_id, "left the queued assets of a Dag alone that was never serialized");
            return Ok(Outcome::Waits);
        };
        let Some(cached) = self.dags.load(tx, version.id, &version.dag_hash).await? else {
            return Ok(Outcome::Waits);
        };
        let schedule = cached.timetable().and_then(Timetable::asset_schedule);
        let Some(schedule) = schedule else {
            let asset_ids = queued.iter().map(|consumer| consumer.asset_id);
            let forgotten = tx.dequeue_consumers(dag_id, asset_ids).await?;
            info!(%dag_id, forgotten, "forgot queued assets of a Dag that waits for none");
            return Ok(Outcome::Waits);
        };
        let condition = &schedule.condition;
        let resolved = resolve(tx, condition).await?;
        // Without locks first: most looks find that it is too early.
        if let AssetRunPlan::Wait(why) =
            plan(tx, dag_id, condition, &resolved, queued, i32::MAX).await?
        {
            debug!(%dag_id, ?why, "left the queued assets of a Dag alone");
            return Ok(Outcome::Waits);
        }
        let Some(dag) = tx.lock_dag_for_run(dag_id).await? else {
            return Ok(Outcome::Busy);
        };
        let queued = tx.lock_queued_consumers(dag_id).await?;
        let limit = dag.max_active_runs;
        let triggered_date = match plan(tx, dag_id, condition, &resolved, &queued, limit).await? {
            AssetRunPlan::Create { triggered_date } => triggered_date,
            AssetRunPlan::Wait(why) => {
                debug!(%dag_id, ?why, "left the queued assets of a Dag alone");
                return Ok(Outcome::Waits);
            }
        };
        let due = DueAssetRun {
            dag: &dag,
            cached: &cached,
            version: version.id,
            triggered_date,
        };
        let Some(run) = self.write_asset_run(tx, &due, now).await? else {
            return Ok(Outcome::Waits);
        };
        let asset_ids = queued.iter().map(|consumer| consumer.asset_id);
        tx.dequeue_consumers(dag_id, asset_ids).await?;
        let catchup = cached.dag.attributes().catchup;
        let window = tx.load_event_window(dag_id, triggered_date).await?;
        let floor = event_window_floor(window.previous, catchup, window.scheduled_since);
        let events = tx
            .consume_asset_events(run.id, dag_id, floor, triggered_date)
            .await?;
        info!(%dag_id, run_id = %run.run_id, assets = queued.len(), events, "created an asset-triggered Dag run");
        Ok(Outcome::Created)
    }

    async fn write_asset_run(
        &self,
        tx: &mut Tx,
        due: &DueAssetRun<'_>,
        now: Timestamp,
    ) -> Result<Option<DagRun>, Error> {
        let run_id = generate_run_id(
            DagRunType::AssetTriggered,
            due.triggered_date,
            jiff::tz::Offset::UTC,
            None,
            &self.ids.alphanumeric(RANDOM_CHARS),
        );
        let run = self.new_run(
            due.dag,
            &due.cached.dag,
            due.version,
            NewRun::of_assets(run_id, due.triggered_date),
        );
        match tx.create_dag_run(&run, now).await? {
            RunCreation::Created(created) => {
                self.create_task_instances(tx, &created, &due.cached.dag, due.version, now)
                    .await?;
                Ok(Some(*created))
            }
            RunCreation::RunIdTaken | RunCreation::LogicalDateTaken => {
                warn!(dag_id = %due.dag.dag_id, run_id = %run.run_id, "left a due Dag alone whose new run has the id of another");
                Ok(None)
            }
        }
    }
}

/// A run to write.
struct DueAssetRun<'a> {
    dag: &'a Dag,
    cached: &'a CachedDag,
    version: DagVersionId,
    triggered_date: Timestamp,
}

async fn plan(
    tx: &mut Tx,
    dag_id: &DagId,
    condition: &AssetCondition,
    resolved: &ResolvedAssets,
    queued: &[QueuedConsumer],
    max_active_runs: i32,
) -> Result<AssetRunPlan, Error> {
    let queued: Vec<QueuedAsset> = queued
        .iter()
        .map(|consumer| QueuedAsset {
            asset: consumer.asset.clone(),
            created_at: consumer.created_at,
        })
        .collect();
    let active_runs = tx.count_unfinished_runs(dag_id).await?;
    Ok(plan_asset_run(&AssetRunView {
        condition,
        queued: &queued,
        resolved,
        active_runs,
        max_active_runs,
    }))
}

/// Looks up what the aliases and references of a condition stand for.
pub(super) async fn resolve(
    reader: &mut Reader,
    condition: &AssetCondition,
) -> Result<ResolvedAssets, Error> {
    let (mut aliases, mut names, mut uris) = (Vec::new(), Vec::new(), Vec::new());
    for mention in condition.mentions() {
        match mention {
            AssetMention::Asset(_) => {}
            AssetMention::Alias(alias) => aliases.push(alias),
            AssetMention::NameRef(name) => names.push(name),
            AssetMention::UriRef(uri) => uris.push(uri),
        }
    }
    let ResolvedKeys {
        of_aliases,
        by_name,
        by_uri,
    } = reader.load_resolved_assets(&aliases, &names, &uris).await?;
    Ok(ResolvedAssets {
        of_aliases,
        by_name,
        by_uri,
    })
}
