//! When the events of a partition make its run.
//!
//! Source: §2.7.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use updraft_model::asset::AssetKey;
use updraft_timetable::{AssetCondition, Judged, ResolvedAssets};

/// A run to come, and what its mappers say of the events that came for it.
#[derive(Clone, Debug)]
pub struct PartitionRunView<'a> {
    pub condition: &'a AssetCondition,
    pub resolved: &'a ResolvedAssets,
    /// By active asset; an asset without events is missing, and so is one whose mapper failed.
    pub judged: &'a BTreeMap<AssetKey, Judged>,
    /// The partition date that came with the events.
    pub carried_date: Option<Timestamp>,
}

/// What becomes of a run to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionRunPlan {
    Create {
        partition_date: Option<Timestamp>,
        /// Why there is no partition date although some mapper knows of one.
        undated: Option<String>,
    },
    /// Something has yet to come.
    Wait,
}

/// Decides whether a partition has all that its run waits for.
#[must_use]
pub fn plan_partition_run(view: &PartitionRunView<'_>) -> PartitionRunPlan {
    let ready: BTreeSet<AssetKey> = view
        .judged
        .iter()
        .filter(|(_, judged)| judged.is_satisfied)
        .map(|(asset, _)| asset.clone())
        .collect();
    if !view.condition.is_met(&ready, view.resolved) {
        return PartitionRunPlan::Wait;
    }
    let (partition_date, undated) = match agreed_date(view.judged) {
        // A key that says nothing about dates takes the one that came with it.
        Ok(None) => (view.carried_date, None),
        Ok(date) => (date, None),
        Err(why) => (None, Some(why)),
    };
    PartitionRunPlan::Create {
        partition_date,
        undated,
    }
}

/// The period that all mappers which know one agree on. Satisfied or not does not matter here: each
/// of them reads the same key.
fn agreed_date(judged: &BTreeMap<AssetKey, Judged>) -> Result<Option<Timestamp>, String> {
    let mut dates = BTreeSet::new();
    for judged in judged.values() {
        dates.extend(judged.partition_date.clone()?);
    }
    if dates.len() > 1 {
        let dates: Vec<String> = dates.iter().map(ToString::to_string).collect();
        return Err(format!("the mappers disagree: {}", dates.join(", ")));
    }
    Ok(dates.pop_first())
}
