//! All effective values, by section and key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::moved;
use crate::options::OptionTable;
use crate::value::Value;

/// The resolved settings before they are given types.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    table: OptionTable,
    home: PathBuf,
    sections: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Values {
    pub(crate) fn new(table: OptionTable, home: &Path) -> Self {
        Self {
            table,
            home: home.to_owned(),
            sections: BTreeMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, section: String, key: String, value: Value) {
        self.sections.entry(section).or_default().insert(key, value);
    }

    /// The value under its present name.
    pub(crate) fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.sections.get(section)?.get(key)
    }

    /// The value under any spelling that Airflow's own `conf.get` takes.
    pub(crate) fn find(&self, section: &str, key: &str) -> Option<&Value> {
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let (section, key) = moved::new_name(&section, &key)
            .map_or((section.as_str(), key.as_str()), |(section, key)| {
                (section, key)
            });
        self.get(section, key)
            .or_else(|| self.get(&section.replace('.', "_"), key))
    }

    /// Everything that has a value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.sections.iter().flat_map(|(section, options)| {
            options
                .iter()
                .map(|(key, value)| (section.as_str(), key.as_str(), value))
        })
    }

    pub(crate) fn default_of(&self, section: &str, key: &str) -> Option<String> {
        self.table.get(section, key)?.default_in(&self.home)
    }

    pub(crate) fn table(&self) -> &OptionTable {
        &self.table
    }
}
