//! Which mapper serves which asset.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{MappingError, PartitionMapper};
use crate::Error;
use crate::asset_condition::{AssetCondition, AssetMention};

/// The mappers of one timetable.
#[derive(Clone, Debug)]
pub struct PartitionMappers {
    default: PartitionMapper,
    by_name: BTreeMap<String, PartitionMapper>,
    by_uri: BTreeMap<String, PartitionMapper>,
}

impl PartitionMappers {
    /// Reads the default mapper and the pairs of a serialized asset expression and its mapper.
    ///
    /// # Errors
    /// As [`PartitionMapper::from_serialized`] and [`AssetCondition::from_serialized`].
    pub fn from_serialized(default: &Value, config: &[(Value, Value)]) -> Result<Self, Error> {
        let mut mappers = Self {
            default: PartitionMapper::from_serialized(default)?,
            by_name: BTreeMap::new(),
            by_uri: BTreeMap::new(),
        };
        for (assets, mapper) in config {
            let assets = AssetCondition::from_serialized(assets)?;
            let mapper = PartitionMapper::from_serialized(mapper)?;
            for mention in assets.mentions() {
                mappers.assign(mention, &mapper);
            }
        }
        Ok(mappers)
    }

    fn assign(&mut self, to: AssetMention<'_>, mapper: &PartitionMapper) {
        let (name, uri) = match to {
            AssetMention::Asset(key) => (Some(key.name.as_str()), Some(key.uri.as_str())),
            AssetMention::NameRef(name) => (Some(name), None),
            AssetMention::UriRef(uri) => (None, Some(uri)),
            // As in Airflow, an alias takes no mapper.
            AssetMention::Alias(_) => (None, None),
        };
        for (map, key) in [(&mut self.by_name, name), (&mut self.by_uri, uri)] {
            if let Some(key) = key {
                map.insert(key.to_owned(), mapper.clone());
            }
        }
    }

    /// The mapper of an asset.
    ///
    /// Its URI counts only if it has no name: so a mapper that was given for a reference by URI
    /// never serves the events of the asset, as in Airflow.
    #[must_use]
    pub fn of_asset(&self, name: &str, uri: &str) -> &PartitionMapper {
        let found = match name {
            "" => self.by_uri.get(uri),
            name => self.by_name.get(name),
        };
        found.unwrap_or(&self.default)
    }

    fn of_mention(&self, mention: AssetMention<'_>) -> Option<&PartitionMapper> {
        match mention {
            AssetMention::Asset(key) => Some(self.of_asset(&key.name, &key.uri)),
            AssetMention::NameRef(name) => Some(self.of_asset(name, "")),
            AssetMention::UriRef(uri) => Some(self.of_asset("", uri)),
            AssetMention::Alias(_) => None,
        }
    }

    /// What tells two definitions apart: the mapper of everything that the condition names. What
    /// was collected under one definition means nothing under another.
    #[must_use]
    pub fn fingerprint(&self, condition: &AssetCondition) -> Value {
        let mut entries = BTreeMap::new();
        for mention in condition.mentions() {
            let key = match mention {
                AssetMention::Asset(key) => format!("{}|{}", key.name, key.uri),
                AssetMention::NameRef(name) => format!("{name}|"),
                AssetMention::UriRef(uri) => format!("|{uri}"),
                AssetMention::Alias(_) => continue,
            };
            if let Some(mapper) = self.of_mention(mention) {
                entries.insert(key, mapper.serialized().clone());
            }
        }
        entries.into_iter().collect()
    }

    /// The period that a run's key stands for, if every mapper that knows one agrees.
    ///
    /// # Errors
    /// Some mapper cannot read the key.
    pub fn partition_date(
        &self,
        condition: &AssetCondition,
        key: &str,
    ) -> Result<Option<Timestamp>, MappingError> {
        let mentions = condition.mentions().into_iter();
        agreed_date(mentions.filter_map(|mention| self.of_mention(mention)), key)
    }
}

/// The one date that these mappers give a key; none if none gives one, or if they disagree.
fn agreed_date<'a>(
    mappers: impl Iterator<Item = &'a PartitionMapper>,
    key: &str,
) -> Result<Option<Timestamp>, MappingError> {
    let mut dates = Vec::new();
    for mapper in mappers {
        dates.extend(mapper.to_partition_date(key)?);
    }
    dates.sort_unstable();
    dates.dedup();
    Ok(match dates[..] {
        [only] => Some(only),
        _ => None,
    })
}
