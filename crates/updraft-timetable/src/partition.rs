//! Partition mappers: from the partition key of an asset event to those of the runs it feeds, and
//! back to the keys that a run waits for.
//!
//! A mapper class of the user stays what it is: whatever needs it answers
//! [`MappingError::NeedsPython`], and the caller may ask Python about the mapper as a whole.
//!
//! Source: fact sheet "scheduling semantics" §2.7.

#[cfg(test)]
mod edges;
mod key_pattern;
mod mappers;
mod question;
mod serialized;
mod temporal;
#[cfg(test)]
mod tests;
mod wait_policy;
mod window;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

pub use mappers::PartitionMappers;
pub use question::{Ask, Judged, Mapped, MapperAnswer, MapperQuestion};
pub use wait_policy::WaitPolicy;

use temporal::Temporal;
use window::Window;

/// Maps partition keys.
#[derive(Clone, Debug)]
pub struct PartitionMapper {
    kind: Kind,
    /// As in the serialized Dag.
    serialized: Value,
    /// The most keys that one event may map to; `None` leaves it to the configuration.
    max_downstream_keys: Option<u32>,
}

#[derive(Clone, Debug)]
enum Kind {
    Identity,
    FixedKey(String),
    AllowedKey(Vec<String>),
    Chain(Vec<PartitionMapper>),
    Product {
        delimiter: String,
        mappers: Vec<PartitionMapper>,
    },
    StartOf(Temporal),
    FanOut {
        upstream: Box<PartitionMapper>,
        window: Window,
        downstream: Box<PartitionMapper>,
    },
    Rollup {
        upstream: Box<PartitionMapper>,
        window: Window,
        wait_policy: WaitPolicy,
    },
    Custom {
        class_path: String,
    },
}

/// What a run of a rollup waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    /// Every key that belongs to the run.
    pub expected: BTreeSet<String>,
    /// How many of them it takes.
    pub wait_policy: WaitPolicy,
}

/// Why a key cannot be mapped, in Airflow's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The key is not one that the mapper takes.
    #[error("ValueError: {0}")]
    Value(String),
    /// The mappers do not fit together.
    #[error("TypeError: {0}")]
    Type(String),
    /// Part of the mapper is a Python class of the user.
    #[error("`{class_path}` is a Python class of the user; ask Python to evaluate it")]
    NeedsPython {
        /// Where Python finds the class.
        class_path: String,
    },
}

/// A key with the meaning that its mapper gives it.
#[derive(Clone, Debug, PartialEq)]
enum Decoded {
    Text(String),
    Date(temporal::Moment),
}

impl PartitionMapper {
    /// As in the serialized Dag.
    #[must_use]
    pub fn serialized(&self) -> &Value {
        &self.serialized
    }

    /// The mapper's own bound on the keys that one event maps to.
    #[must_use]
    pub const fn max_downstream_keys(&self) -> Option<u32> {
        self.max_downstream_keys
    }

    /// Whether several keys lead to one run.
    #[must_use]
    pub const fn is_rollup(&self) -> bool {
        matches!(self.kind, Kind::Rollup { .. })
    }

    /// Whether a run keeps the partition date of the run that caused the event: its key is the
    /// same and says nothing about dates.
    #[must_use]
    pub const fn carries_partition_date(&self) -> bool {
        matches!(self.kind, Kind::Identity)
    }

    /// The keys of the runs that an event with this key feeds, in order.
    ///
    /// # Errors
    /// The key is not one that the mapper takes.
    pub fn to_downstream(&self, key: &str) -> Result<Vec<String>, MappingError> {
        match &self.kind {
            Kind::Identity => Ok(vec![key.to_owned()]),
            Kind::FixedKey(fixed) => Ok(vec![fixed.clone()]),
            Kind::AllowedKey(allowed) => match allowed.iter().any(|each| each == key) {
                true => Ok(vec![key.to_owned()]),
                false => Err(MappingError::Value(not_allowed(key, allowed))),
            },
            Kind::Chain(mappers) => chained(mappers, key),
            Kind::Product { delimiter, mappers } => product(mappers, delimiter, key),
            Kind::StartOf(temporal) => Ok(vec![temporal.to_downstream(key)?]),
            Kind::Rollup { upstream, .. } => upstream.to_downstream(key),
            Kind::FanOut {
                upstream,
                window,
                downstream,
            } => {
                let coarse = upstream.decode(&upstream.to_one(key)?)?;
                let members = window.members(&coarse)?;
                members
                    .iter()
                    .map(|member| downstream.write(member))
                    .collect()
            }
            Kind::Custom { .. } => Err(self.needs_python()),
        }
    }

    /// What a run with this key waits for; `None` if any one event will do.
    ///
    /// # Errors
    /// The key is not one that the mapper made.
    pub fn requirement(&self, downstream_key: &str) -> Result<Option<Requirement>, MappingError> {
        match &self.kind {
            Kind::Rollup {
                upstream,
                window,
                wait_policy,
            } => {
                if let WaitPolicy::Custom { class_path } = wait_policy {
                    return Err(MappingError::NeedsPython {
                        class_path: class_path.clone(),
                    });
                }
                let members = window.members(&upstream.decode(downstream_key)?)?;
                let expected: Result<_, _> = members
                    .into_iter()
                    .map(|member| upstream.encode(member))
                    .collect();
                Ok(Some(Requirement {
                    expected: expected?,
                    wait_policy: wait_policy.clone(),
                }))
            }
            Kind::Custom { .. } => Err(self.needs_python()),
            _ => Ok(None),
        }
    }

    /// The start of the period that a run's key stands for; `None` if it stands for none.
    ///
    /// # Errors
    /// The key is not one that the mapper made.
    pub fn to_partition_date(
        &self,
        downstream_key: &str,
    ) -> Result<Option<Timestamp>, MappingError> {
        match &self.kind {
            Kind::Identity | Kind::FixedKey(_) | Kind::AllowedKey(_) => Ok(None),
            // Whoever wrote the key knows what it means.
            Kind::Chain(mappers) => match mappers.last() {
                Some(last) => last.to_partition_date(downstream_key),
                None => Ok(None),
            },
            Kind::Product { delimiter, mappers } => {
                only_date(mappers, &segments(downstream_key, delimiter))
            }
            Kind::StartOf(temporal) => temporal.to_partition_date(downstream_key).map(Some),
            Kind::FanOut { downstream, .. } => downstream.to_partition_date(downstream_key),
            Kind::Rollup { upstream, .. } => upstream.to_partition_date(downstream_key),
            Kind::Custom { .. } => Err(self.needs_python()),
        }
    }

    /// A key that must be one.
    fn to_one(&self, key: &str) -> Result<String, MappingError> {
        let mut keys = self.to_downstream(key)?;
        match keys.pop() {
            Some(only) if keys.is_empty() && !self.gives_lists() => Ok(only),
            _ => Err(MappingError::Type(format!(
                "a mapper within another must give one key, and '{key}' gives several"
            ))),
        }
    }

    /// Whether even a single key would come as a list.
    fn gives_lists(&self) -> bool {
        match &self.kind {
            Kind::FanOut { .. } => true,
            Kind::Rollup { upstream, .. } => upstream.gives_lists(),
            _ => false,
        }
    }

    fn decode(&self, downstream_key: &str) -> Result<Decoded, MappingError> {
        match &self.kind {
            Kind::StartOf(temporal) => temporal.decode(downstream_key).map(Decoded::Date),
            Kind::Custom { .. } => Err(self.needs_python()),
            _ => Ok(Decoded::Text(downstream_key.to_owned())),
        }
    }

    /// The inverse of [`Self::decode`], for the other side.
    fn encode(&self, member: Decoded) -> Result<String, MappingError> {
        match (&self.kind, member) {
            (Kind::Custom { .. }, _) => Err(self.needs_python()),
            (Kind::StartOf(temporal), Decoded::Date(date)) => temporal.encode(date),
            (_, Decoded::Text(text)) => Ok(text),
            (_, Decoded::Date(_)) => Err(MappingError::Type(
                "the window yields dates, and the mapper has no format for them".to_owned(),
            )),
        }
    }

    /// A member of a window as a key of this mapper.
    fn write(&self, member: &Decoded) -> Result<String, MappingError> {
        match (&self.kind, member) {
            (Kind::Custom { .. }, _) => Err(self.needs_python()),
            (Kind::StartOf(temporal), Decoded::Date(date)) => temporal.format(*date),
            (_, Decoded::Date(date)) => Ok(date.isoformat()),
            (Kind::StartOf(_), Decoded::Text(_)) => Err(MappingError::Type(
                "the window yields text, and the mapper formats dates".to_owned(),
            )),
            (_, Decoded::Text(text)) => Ok(text.clone()),
        }
    }

    fn needs_python(&self) -> MappingError {
        let class_path = match &self.kind {
            Kind::Custom { class_path } => class_path.clone(),
            _ => String::new(),
        };
        MappingError::NeedsPython { class_path }
    }
}

/// Feeds each mapper the keys of the one before.
fn chained(mappers: &[PartitionMapper], key: &str) -> Result<Vec<String>, MappingError> {
    let mut keys = vec![key.to_owned()];
    for mapper in mappers {
        let mut next = Vec::new();
        for key in &keys {
            next.extend(mapper.to_downstream(key)?);
        }
        keys = next;
    }
    Ok(keys)
}

fn product(
    mappers: &[PartitionMapper],
    delimiter: &str,
    key: &str,
) -> Result<Vec<String>, MappingError> {
    let segments = segments(key, delimiter);
    if segments.len() != mappers.len() {
        return Err(MappingError::Value(format!(
            "expected {} parts in '{key}', separated by '{delimiter}', found {}",
            mappers.len(),
            segments.len()
        )));
    }
    let mapped: Result<Vec<String>, _> = mappers
        .iter()
        .zip(segments)
        .map(|(mapper, segment)| mapper.to_one(segment))
        .collect();
    Ok(vec![mapped?.join(delimiter)])
}

fn segments<'a>(key: &'a str, delimiter: &str) -> Vec<&'a str> {
    key.split(delimiter).collect()
}

/// The date of the one segment that has one; more than one are as good as none.
fn only_date(
    mappers: &[PartitionMapper],
    segments: &[&str],
) -> Result<Option<Timestamp>, MappingError> {
    if segments.len() != mappers.len() {
        return Ok(None);
    }
    let mut dates = Vec::new();
    for (mapper, segment) in mappers.iter().zip(segments) {
        dates.extend(mapper.to_partition_date(segment)?);
    }
    Ok(match dates[..] {
        [only] => Some(only),
        _ => None,
    })
}

fn not_allowed(key: &str, allowed: &[String]) -> String {
    let allowed: Vec<String> = allowed.iter().map(|key| format!("'{key}'")).collect();
    format!("'{key}' is none of the allowed keys {}", allowed.join(", "))
}
