//! What a scheduler asks a mapper. A mapper with a class of the user in it is asked as a whole in
//! Python, by the same questions.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{MappingError, PartitionMapper};

/// A question about a mapper that only Python can answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MapperQuestion {
    /// The class of the user that Python is needed for.
    pub class_path: String,
    /// The mapper as in the serialized Dag.
    pub mapper: Value,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Which runs an event feeds; see [`PartitionMapper::map`].
    Map {
        /// The partition key of the event.
        key: String,
        /// The partition date of the run that caused it.
        partition_date: Option<Timestamp>,
    },
    /// Whether a run has what it waits for; see [`PartitionMapper::judge`].
    Judge {
        /// The partition key of the run.
        downstream_key: String,
        /// The keys of the events that came.
        source_keys: BTreeSet<String>,
    },
}

/// What Python says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapperAnswer {
    /// To [`Ask::Map`].
    Mapped(Mapped),
    /// To [`Ask::Judge`].
    Judged(Judged),
}

/// Which runs an event feeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// The keys of the runs.
    pub keys: Vec<String>,
    /// The most keys that the mapper allows; `None` leaves it to the configuration.
    pub keys_max: Option<u32>,
    /// The partition date that the runs take over from the event's.
    pub partition_date: Option<Timestamp>,
}

/// Whether a run has what it waits for from one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Enough came.
    pub is_satisfied: bool,
    /// Enough can never come, and why.
    pub unreachable: Option<String>,
    /// The period that the run's key stands for; an error says that the key cannot be read.
    pub partition_date: Result<Option<Timestamp>, String>,
}

impl PartitionMapper {
    /// Which runs an event feeds.
    ///
    /// # Errors
    /// The key is not one that the mapper takes.
    pub fn map(&self, key: &str, date: Option<Timestamp>) -> Result<Mapped, MappingError> {
        Ok(Mapped {
            keys: self.to_downstream(key)?,
            keys_max: self.max_downstream_keys(),
            partition_date: date.filter(|_| self.carries_partition_date()),
        })
    }

    /// Whether a run has what it waits for: of a rollup enough keys, of any other mapper any event.
    ///
    /// # Errors
    /// The key is not one that the mapper made.
    pub fn judge(
        &self,
        downstream_key: &str,
        source_keys: &BTreeSet<String>,
    ) -> Result<Judged, MappingError> {
        let requirement = self.requirement(downstream_key)?;
        let partition_date = match self.to_partition_date(downstream_key) {
            Err(error @ MappingError::NeedsPython { .. }) => return Err(error),
            Err(error) => Err(error.to_string()),
            Ok(date) => Ok(date),
        };
        let Some(requirement) = requirement else {
            return Ok(Judged {
                is_satisfied: !source_keys.is_empty(),
                unreachable: None,
                partition_date,
            });
        };
        let policy = &requirement.wait_policy;
        let expected = &requirement.expected;
        let unreachable = policy.is_unreachable(expected.len()).then(|| {
            format!(
                "{policy:?} can never be satisfied by the {} keys of the window",
                expected.len()
            )
        });
        Ok(Judged {
            is_satisfied: unreachable.is_none() && policy.is_satisfied(source_keys, expected),
            unreachable,
            partition_date,
        })
    }

    /// The question to ask Python instead, which is needed for a class.
    #[must_use]
    pub fn question(&self, class_path: &str, ask: Ask) -> MapperQuestion {
        MapperQuestion {
            class_path: class_path.to_owned(),
            mapper: self.serialized().clone(),
            ask,
        }
    }
}
