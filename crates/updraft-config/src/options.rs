//! The table of options: every section and key that Airflow 3.3 knows, with type and default.
//!
//! `options/airflow.json` is exported from the installed package by `testdata/record.py`; it
//! holds facts and no prose. `options/updraft.json` adds our own section.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::moved;

/// Options whose default is not Airflow's.
///
/// The metadata schema is Updraft's own, so it must not land in Airflow's database file.
const OUR_DEFAULTS: [(&str, &str, &str); 1] = [(
    "database",
    "sql_alchemy_conn",
    "sqlite:///{AIRFLOW_HOME}/updraft.db",
)];

/// Stands for the home folder in a default.
const HOME_PLACEHOLDER: &str = "{AIRFLOW_HOME}";

/// What is known about one option.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionSpec {
    /// How Airflow documents the value.
    #[serde(rename = "type")]
    pub kind: OptionKind,
    #[serde(default)]
    default: Option<String>,
    /// The value is a secret: it may come from a command or a secrets backend, and is hidden.
    #[serde(default)]
    pub sensitive: bool,
    /// Airflow still reads it and advises against it.
    #[serde(default)]
    pub deprecated: bool,
    /// The provider package that brings the option; `None` for Airflow itself and for Updraft.
    #[serde(default)]
    pub provider: Option<String>,
}

/// The documented type of a value; what is really accepted is decided where it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionKind {
    /// `True`, `False`, `t`, `f`, `1`, `0`, in any case.
    Boolean,
    /// A decimal number.
    Float,
    /// A whole number.
    Integer,
    /// Anything else, often with a format of its own.
    String,
}

impl OptionSpec {
    /// The default in this home; `None` when there is none, which is not the same as empty.
    pub fn default_in(&self, home: &Path) -> Option<String> {
        let home = home.to_string_lossy();
        self.default
            .as_ref()
            .map(|default| default.replace(HOME_PLACEHOLDER, &home))
    }
}

/// All options, in the order in which `config list` prints them.
#[derive(Clone, Debug)]
pub struct OptionTable {
    sections: IndexMap<String, IndexMap<String, OptionSpec>>,
}

impl OptionTable {
    /// The table that is compiled in.
    pub fn built_in() -> Self {
        let parse = |text| -> IndexMap<String, IndexMap<String, OptionSpec>> {
            serde_json::from_str(text).expect("the tables in options/ are read by every test")
        };
        let mut sections = parse(include_str!("../options/airflow.json"));
        sections.extend(parse(include_str!("../options/updraft.json")));
        for (section, key, default) in OUR_DEFAULTS {
            if let Some(option) = sections.get_mut(section).and_then(|it| it.get_mut(key)) {
                option.default = Some(default.to_owned());
            }
        }
        Self { sections }
    }

    /// One option.
    pub fn get(&self, section: &str, key: &str) -> Option<&OptionSpec> {
        self.sections.get(section)?.get(key)
    }

    /// Names of the sections, in order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// Options of a section, in order.
    pub fn options(&self, section: &str) -> impl Iterator<Item = (&str, &OptionSpec)> {
        let options = self.sections.get(section).into_iter().flatten();
        options.map(|(key, option)| (key.as_str(), option))
    }

    /// Whether the section belongs to Airflow itself or to Updraft, so that all its keys are
    /// known. Sections of providers may have keys that only the provider knows.
    pub(crate) fn is_ours_or_core(&self, section: &str) -> bool {
        let options = self.sections.get(section);
        options.is_some_and(|it| it.values().all(|option| option.provider.is_none()))
    }

    /// Whether the value must be hidden; a secret stays one under the name it had before.
    pub fn is_sensitive(&self, section: &str, key: &str) -> bool {
        let known = |section, key| self.get(section, key).is_some_and(|it| it.sensitive);
        known(section, key)
            || moved::new_name(section, key).is_some_and(|(section, key)| known(section, key))
    }
}
