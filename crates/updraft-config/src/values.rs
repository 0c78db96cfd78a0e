//! All effective values as text, by section and key.
//!
//! This is what `config list` and `config get-value` work on: it exists also when some values
//! are bad, so that a user can look at the settings that keep Updraft from starting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::expand::expand;
use crate::ini::IniFile;
use crate::lookups::Lookups;
use crate::moved;
use crate::old_values::replace_old_values;
use crate::options::OptionTable;
use crate::problem::{Problem, Warning};
use crate::resolve::{Sources, resolve};
use crate::value::Value;

/// Effective values by section and key.
pub(crate) type ValuesByName = BTreeMap<String, BTreeMap<String, Value>>;

/// The resolved settings before they are given types.
#[derive(Clone, Debug)]
pub struct Values {
    /// `AIRFLOW_HOME`.
    pub home: PathBuf,
    /// `airflow.cfg`, whether it exists or not.
    pub file: PathBuf,
    /// Settings without a value because the value could not be obtained.
    pub problems: Vec<Problem>,
    /// What works today and should be changed.
    pub warnings: Vec<Warning>,
    table: OptionTable,
    written: IniFile,
    by_name: ValuesByName,
}

impl Values {
    /// The settings of `environment`, with `airflow.cfg` read from disk. A missing file is an
    /// empty one.
    pub fn load(environment: &Environment, lookups: &Lookups<'_>) -> Self {
        let mut problems = Vec::new();
        let locations = locate(environment, &mut problems);
        let text = match std::fs::read_to_string(&locations.file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let (path, reason) = (locations.file.clone(), error.to_string());
                problems.push(Problem::UnreadableFile { path, reason });
                String::new()
            }
        };
        Self::resolve(locations, &text, environment, lookups, problems)
    }

    /// The settings of `environment`, with `file_text` in place of `airflow.cfg`.
    pub fn from_text(file_text: &str, environment: &Environment, lookups: &Lookups<'_>) -> Self {
        let mut problems = Vec::new();
        let locations = locate(environment, &mut problems);
        Self::resolve(locations, file_text, environment, lookups, problems)
    }

    fn resolve(
        locations: Locations,
        file_text: &str,
        environment: &Environment,
        lookups: &Lookups<'_>,
        mut problems: Vec<Problem>,
    ) -> Self {
        let Locations { home, file } = locations;
        let (written, bad_lines) = IniFile::parse(file_text);
        problems.extend(bad_lines.into_iter().map(|bad| Problem::BadLine {
            path: file.clone(),
            line: bad.line,
            reason: bad.reason,
        }));
        let table = OptionTable::built_in();
        let sources = Sources {
            home: &home,
            environment,
            file: &written,
            file_path: file.as_path().into(),
            table: &table,
            lookups,
        };
        let resolved = resolve(&sources);
        problems.extend(resolved.problems);
        let (warnings, by_name) = (resolved.warnings, resolved.by_name);
        let mut values = Self {
            home,
            file,
            problems,
            warnings,
            table,
            written,
            by_name,
        };
        replace_old_values(&mut values);
        values
    }

    /// The value under any spelling that Airflow's own `conf.get` takes: case does not matter,
    /// and a name from Airflow 2 will do.
    pub fn get(&self, section: &str, key: &str) -> Option<&Value> {
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let (section, key) = moved::new_name(&section, &key)
            .map_or((section.as_str(), key.as_str()), |(section, key)| {
                (section, key)
            });
        self.exact(section, key)
            .or_else(|| self.exact(&section.replace('.', "_"), key))
    }

    /// `config get-value`: the effective value, or nothing for an option without one.
    pub fn get_value(&self, section: &str, key: &str) -> Option<&str> {
        self.get(section, key).map(Value::text)
    }

    /// The value under its present name.
    pub(crate) fn exact(&self, section: &str, key: &str) -> Option<&Value> {
        self.by_name.get(section)?.get(key)
    }

    pub(crate) fn replace(&mut self, section: &str, key: &str, value: Value) {
        let options = self.by_name.entry(section.to_owned()).or_default();
        options.insert(key.to_owned(), value);
    }

    /// Everything that has a value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.by_name.iter().flat_map(|(section, options)| {
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

    /// The file as written.
    pub(crate) fn written(&self) -> &IniFile {
        &self.written
    }
}

/// Where the settings of an environment are.
struct Locations {
    home: PathBuf,
    file: PathBuf,
}

/// `AIRFLOW_HOME`, `~/airflow` by default, and `AIRFLOW_CONFIG`, `airflow.cfg` in it by default.
fn locate(environment: &Environment, problems: &mut Vec<Problem>) -> Locations {
    let mut expanded = |variable: &str| {
        let text = environment.get(variable)?;
        let path = expand(text, environment).map(PathBuf::from);
        if path.is_err() {
            let reason = format!("{variable} refers to itself through environment variables");
            problems.push(Problem::UnreadableFile {
                path: PathBuf::from(text),
                reason,
            });
        }
        path.ok()
    };
    let home = expanded("AIRFLOW_HOME").unwrap_or_else(|| default_home(environment));
    let file = expanded("AIRFLOW_CONFIG").unwrap_or_else(|| home.join("airflow.cfg"));
    Locations { home, file }
}

fn default_home(environment: &Environment) -> PathBuf {
    let user = environment.get("HOME").unwrap_or_default();
    Path::new(user).join("airflow")
}
