//! When events of assets make a run due, and which events it consumes.
//!
//! Source: §2.1, §2.5.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use updraft_model::asset::AssetKey;
use updraft_timetable::{AssetCondition, ResolvedAssets};

/// A Dag that is scheduled on assets, and what waits for it.
#[derive(Clone, Debug)]
pub struct AssetRunView<'a> {
    pub condition: &'a AssetCondition,
    pub queued: &'a [QueuedAsset],
    pub resolved: &'a ResolvedAssets,
    /// Runs of the Dag that are queued or running, of every type.
    pub active_runs: i64,
    /// `dag.max_active_runs`.
    pub max_active_runs: i32,
}

/// An asset with events that no run has consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedAsset {
    pub asset: AssetKey,
    /// When the first of these events came (quirk 1).
    pub created_at: Timestamp,
}

/// What becomes of the queued assets of a Dag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetRunPlan {
    /// Create a run with this `run_after`, and take the queued assets off.
    Create { triggered_date: Timestamp },
    /// Leave them queued.
    Wait(AssetRunWaits),
}

/// Why queued assets make no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetRunWaits {
    /// Nothing is queued.
    NothingQueued,
    /// The condition does not hold yet.
    ConditionNotMet,
    /// The Dag has as many active runs as it may have.
    MaxActiveRuns,
}

/// Decides whether the queued assets make a run.
#[must_use]
pub fn plan_asset_run(view: &AssetRunView<'_>) -> AssetRunPlan {
    let Some(triggered_date) = view.queued.iter().map(|queued| queued.created_at).max() else {
        return AssetRunPlan::Wait(AssetRunWaits::NothingQueued);
    };
    let updated: BTreeSet<AssetKey> = view
        .queued
        .iter()
        .map(|queued| queued.asset.clone())
        .collect();
    if !view.condition.is_met(&updated, view.resolved) {
        return AssetRunPlan::Wait(AssetRunWaits::ConditionNotMet);
    }
    // Quirk: of a limit of 0 one run makes the Dag full, as of a limit of 1.
    if view.active_runs > 0 && view.active_runs >= i64::from(view.max_active_runs) {
        return AssetRunPlan::Wait(AssetRunWaits::MaxActiveRuns);
    }
    AssetRunPlan::Create { triggered_date }
}

/// After which moment a run consumes events; up to and including its `run_after` it does. `None`:
/// all of them.
///
/// `previous` is the latest `run_after` of earlier asset-triggered runs; `scheduled_since` is when
/// the Dag was first seen to be scheduled on one of its assets.
#[must_use]
pub fn event_window_floor(
    previous: Option<Timestamp>,
    catchup: bool,
    scheduled_since: Option<Timestamp>,
) -> Option<Timestamp> {
    previous.or(if catchup { None } else { scheduled_since })
}
