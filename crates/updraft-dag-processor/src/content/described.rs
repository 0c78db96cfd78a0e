//! Timetable classes of the user: what they say of themselves becomes part of the Dag.

use serde_json::Value;
use tracing::warn;
use updraft_execution::chain;
use updraft_model::serialized::SerializedDag;
use updraft_plugins::Plugins;
use updraft_store::ParsedDag;
use updraft_timetable::{Timetable, Traits, write_traits};

use super::{Content, Structure, assets};
use crate::dag_hash::dag_hash;

impl Content {
    /// Asks each timetable class of the user what it is. One that does not answer is shown under its
    /// name, and counts as periodic.
    pub(crate) async fn describe_timetables(&mut self, plugins: &Plugins) {
        let dags = self.file.dags.iter_mut().zip(&mut self.structures);
        for (parsed, structure) in dags {
            let Some(custom) = structure.timetable.custom() else {
                continue;
            };
            let class_path = custom.class_path.clone();
            let described = match plugins.describe_timetable(custom).await {
                Ok(traits) => describe(parsed, structure, &class_path, &traits),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = described {
                let dag_id = &parsed.dag.dag_id;
                warn!(%dag_id, error, "a timetable did not say what it is");
            }
        }
    }
}

fn describe(
    parsed: &mut ParsedDag,
    structure: &mut Structure,
    class_path: &str,
    traits: &Traits,
) -> Result<(), String> {
    let mut raw: Value = serde_json::from_str(&parsed.data).map_err(|error| chain(&error))?;
    write_traits(&mut raw["dag"]["timetable"], class_path, traits);
    let data = raw.to_string();
    let dag = SerializedDag::parse(raw).map_err(|error| chain(&error))?;
    let timetable =
        Timetable::from_serialized(&dag.attributes().timetable).map_err(|error| chain(&error))?;
    parsed.dag_hash = dag_hash(&data).map_err(|error| chain(&error))?;
    parsed.data = data;
    parsed.assets = assets::of(&dag, &timetable);
    parsed.dag.timetable_summary = Some(timetable.summary());
    parsed.dag.timetable_description = Some(timetable.description());
    parsed.dag.timetable_partitioned = timetable.partitioned();
    parsed.dag.asset_expression = timetable
        .asset_schedule()
        .and_then(|schedule| assets::expression(&schedule.serialized));
    *structure = Structure { dag, timetable };
    Ok(())
}
