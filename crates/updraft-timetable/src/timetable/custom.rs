//! Timetable classes of the user: what is known of them without asking Python.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AssetSchedule, Timetable};
use crate::Error;

/// Where the answers of a class about itself stand in its serialized form.
const TRAITS: &str = "__traits";

/// A timetable class of the user: Python evaluates it.
#[derive(Clone, Debug)]
pub struct Custom {
    /// Where Python finds the class.
    pub class_path: String,
    /// What its `serialize()` returned.
    pub data: Value,
    /// What it says of itself; `None` as long as it was not asked.
    pub traits: Option<Box<Traits>>,
    /// The assets it says that it waits for.
    pub schedule: Option<AssetSchedule>,
}

/// What a timetable class says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traits {
    pub summary: String,
    pub description: String,
    pub periodic: bool,
    pub can_be_scheduled: bool,
    pub partitioned: bool,
    pub partitioned_at_runtime: bool,
    pub active_runs_limit: Option<u32>,
    pub run_ordering: Vec<String>,
    /// The asset expression as serialized.
    pub asset_condition: Option<Value>,
    /// Whether it makes up run ids of its own.
    pub makes_run_ids: bool,
}

impl Custom {
    /// A class that has not been asked what it is.
    #[must_use]
    pub fn new(class_path: &str, data: Value) -> Self {
        Self {
            class_path: class_path.to_owned(),
            data,
            traits: None,
            schedule: None,
        }
    }

    pub(super) fn read(class_path: &str, serialized: &Value, data: &Value) -> Result<Self, Error> {
        let traits = serialized.get(TRAITS);
        // Whoever wrote something else there did not ask the class.
        let traits = traits.and_then(|traits| Traits::deserialize(traits).ok());
        let condition = traits
            .as_ref()
            .and_then(|traits| traits.asset_condition.clone());
        Ok(Self {
            class_path: class_path.to_owned(),
            data: data.clone(),
            schedule: condition.map(AssetSchedule::from_serialized).transpose()?,
            traits: traits.map(Box::new),
        })
    }

    pub(super) fn needs_python(&self) -> Error {
        Error::NeedsPython {
            class_path: self.class_path.clone(),
        }
    }

    /// The last part of the class path.
    pub(super) fn class_name(&self) -> &str {
        self.class_path
            .rsplit_once('.')
            .map_or(self.class_path.as_str(), |(_, name)| name)
    }

    /// An answer of the class, or what Airflow's base class says.
    pub(super) fn says<T>(&self, of: impl FnOnce(&Traits) -> T, base: T) -> T {
        self.traits.as_deref().map_or(base, of)
    }
}

impl Timetable {
    /// The class of the user in this timetable, if there is one: itself, or the time part of an
    /// asset-or-time schedule.
    #[must_use]
    pub const fn custom(&self) -> Option<&Custom> {
        match self {
            Self::Custom(custom) => Some(custom),
            Self::AssetOrTime(both) => both.time.custom(),
            _ => None,
        }
    }

    /// Whether run ids must be asked of the class. Until it has said that it makes none, it may.
    #[must_use]
    pub fn makes_run_ids(&self) -> bool {
        self.custom()
            .is_some_and(|custom| custom.says(|traits| traits.makes_run_ids, true))
    }
}

/// Writes what the class of the user in a serialized timetable says of itself into it, where
/// [`Timetable::from_serialized`] finds it.
pub fn write_traits(serialized: &mut Value, class_path: &str, traits: &Traits) {
    if serialized.get("__type").and_then(Value::as_str) == Some(class_path) {
        // Plain fields always have a JSON form.
        serialized[TRAITS] = serde_json::to_value(traits).unwrap_or_default();
        return;
    }
    if let Some(inner) = serialized
        .get_mut("__var")
        .and_then(|data| data.get_mut("timetable"))
    {
        write_traits(inner, class_path, traits);
    }
}
